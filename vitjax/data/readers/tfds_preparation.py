"""Prepares sets of TensorFlow Datasets, some of them without TensorFlow.

The version of tensorflow_datasets (TFDS) is pinned, because preparing without TensorFlow replaces
names inside two of its modules.
"""

import contextlib
import gzip
import importlib.util
import io
import sys
import tarfile
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitjax.data.readers.downloads import manual_dir, missing_archives, unreachable
from vitjax.errors import UserError
from vitjax.text import one_line

WITHOUT_TENSORFLOW = ("mnist", "fashion_mnist", "cifar10", "cifar100", "galaxy_zoo2")


def prepare(name: str, builder: Any, on_status: Callable[[str], None]) -> None:
    """Downloads the set where that is needed, and writes it as TFDS would."""
    import tensorflow_datasets as tfds

    has_tensorflow = importlib.util.find_spec("tensorflow") is not None
    if not has_tensorflow and builder.name not in WITHOUT_TENSORFLOW:
        raise needs_tensorflow(name)
    downloads = Path(builder.data_dir_root) / "downloads"
    manual = manual_dir(downloads, builder.name)
    infos = builder.url_infos or {}
    archives = {url: item.filename or url.rsplit("/", 1)[-1] for url, item in infos.items()}
    missing = missing_archives(archives, downloads, builder.name)
    if reason := unreachable(list(missing)):
        files = ", ".join(list(missing.values())[:8])
        raise UserError(
            f"{name} is not prepared in {builder.data_dir} and {reason}; to go on offline, put "
            f"{files} into {manual}, or set config.data.data_dir to a folder that holds "
            f"{Path(builder.data_dir).relative_to(builder.data_dir_root)} already prepared, or "
            "try config.data.name='digits'."
        )
    on_status(f"preparing {name} in {builder.data_dir}" + (", with a download" if missing else ""))
    # array_record has no wheel outside Linux; TFDS reads parquet as well.
    file_format = "array_record" if importlib.util.find_spec("array_record") else "parquet"
    config = tfds.download.DownloadConfig(manual_dir=manual)
    is_stock = not (has_tensorflow or builder.name == "galaxy_zoo2")
    stand_in = _without_tensorflow(builder) if is_stock else contextlib.nullcontext()
    try:
        with stand_in:
            builder.download_and_prepare(file_format=file_format, download_config=config)
    except UserError:
        raise
    except ImportError as error:
        raise needs_tensorflow(name) from error
    except tfds.download.download_manager.NonMatchingChecksumError as error:
        raise UserError(
            f"an archive of {name} differs from the published one ({one_line(error)}); replace or "
            f"remove it in {manual}."
        ) from error
    except Exception as error:  # archives, disk, network: whatever TFDS raises
        if builder.is_prepared():  # by another process meanwhile
            return
        raise UserError(
            f"TFDS could not prepare {name} in {builder.data_dir} ({one_line(error)}); see "
            "https://www.tensorflow.org/datasets, or change config.data.data_dir."
        ) from error


@contextlib.contextmanager
def _without_tensorflow(builder: Any) -> Iterator[None]:
    """Within, `builder` of one of the four stock sets prepares itself without TensorFlow.

    Three things of those builders need TensorFlow: extraction, opening files, and encoding arrays
    as PNG. Each gets a stand-in; all else, and so the result, is TFDS's own.
    """
    module = sys.modules[type(builder).__module__]
    split_generators, generate_examples = builder._split_generators, builder._generate_examples

    def generate(*args: Any, **kwargs: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
        for key, example in generate_examples(*args, **kwargs):
            yield key, {**example, "image": _png(example["image"])}

    with tempfile.TemporaryDirectory() as folder:
        stand_ins = {
            "_generate_examples": generate,
            "_split_generators": lambda dl: split_generators(_Downloads(dl, Path(folder))),
        }
        open_file = types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open))
        original, module.tf = module.tf, types.SimpleNamespace(io=open_file)  # type: ignore
        vars(builder).update(stand_ins)
        try:
            yield
        finally:
            module.tf = original  # type: ignore
            for name in stand_ins:
                delattr(builder, name)


class _Downloads:
    """TFDS's download manager, with an extraction that does not need TensorFlow."""

    def __init__(self, manager: Any, folder: Path):
        self._manager = manager
        self._folder = folder

    def download_and_extract(self, urls: Any) -> Any:
        """Local paths in place of URLs (one, or a dict): files of gzip, folders of tar."""
        if not isinstance(urls, dict):
            return self._extract("archive", self._manager.download(urls))
        return {key: self._extract(key, self._manager.download(url)) for key, url in urls.items()}

    def _extract(self, name: str, path: Any) -> str:
        target = self._folder / name
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                archive.extractall(target, filter="data")
        else:
            with gzip.open(path) as source:
                target.write_bytes(source.read())
        return str(target)


def _png(pixels: np.ndarray) -> bytes:
    """An array [H, W, 1 or 3] as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels).save(file, "png")
    return file.getvalue()


def needs_tensorflow(name: str) -> UserError:
    """Returns what to raise for a set that nothing but TensorFlow can prepare."""
    return UserError(
        f"{name} is not prepared, and TFDS can prepare it only with TensorFlow; run pip install "
        "'.[tf]' in the checkout, or set config.data.data_dir to a folder where it is prepared "
        f"({', '.join(WITHOUT_TENSORFLOW)} need no TensorFlow)."
    )
