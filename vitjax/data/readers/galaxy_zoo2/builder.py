"""Galaxy Zoo 2 as a data set of TensorFlow Datasets (TFDS), prepared without TensorFlow.

Importing this file makes the set known to TFDS, as "galaxy_zoo2".
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from vitjax.data.readers.galaxy_zoo2 import labels
from vitjax.data.readers.galaxy_zoo2.archive import Archive, locate_images
from vitjax.errors import UserError

MISSING = "missing_images.csv"  # beside the prepared set: the listed galaxies without an image

_SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # of the files: TFDS's
_PER_SHARD = 16_384  # images; TFDS holds those of one in memory
_SEED = 0  # of the order that they are stored in


class _Listed(NamedTuple):
    """What is to be prepared."""

    archive: Archive
    files: dict[str, str]  # galaxyID: its image
    galaxies: dict[str, list[labels.Galaxy]]  # by split, those with an image
    missing: list[str]  # "split,galaxyID"


class GalaxyZoo2(tfds.core.ShardBasedBuilder):  # others would sort 1 GB or more with TensorFlow
    """Galaxies with the labels label1 (8 classes) to label4 (3), as JPEG files as they came.

    Label files and images come from the root of `data_dir` or else TFDS's manual folder, images
    from `image_root` if it is given. `on_status` gets a line about what is to be prepared.
    """

    name = "galaxy_zoo2"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "The first."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Needs gz2_train.csv, gz2_valid.csv and gz2_test.csv of
    https://github.com/soliao/Galaxy-Zoo-Classification, and the images of
    https://www.kaggle.com/jaimetrickz/galaxy-zoo-2-images or
    https://zenodo.org/records/3565489 (images_gz2.zip) unpacked into images/ or as a .zip.
    """

    def __init__(
        self,
        *,
        image_root: str | None = None,
        on_status: Callable[[str], None] = print,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._image_root = image_root
        self._on_status = on_status

    def _info(self) -> tfds.core.DatasetInfo:
        features: dict[str, Any] = {
            "image": tfds.features.Image(shape=(424, 424, 3), encoding_format="jpeg"),
            "galaxyID": tfds.features.Text(),
        }
        for column, names in labels.CLASS_NAMES.items():
            features[column] = tfds.features.ClassLabel(names=list(names))
        return tfds.core.DatasetInfo(
            builder=self,
            description="Galaxies of the Sloan survey by shape, judged by volunteers.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label1"),
            homepage="https://data.galaxyzoo.org",
            metadata=tfds.core.MetadataDict(),
        )

    def download_and_prepare(self, *, download_config: Any = None, **options: Any) -> None:
        """As TFDS does, but looks for all files first; raises UserError where they are missing."""
        if not self.is_prepared():
            root = Path(self.data_dir_root)
            manual = download_config and download_config.manual_dir
            folder = labels.find_labels(root, *filter(None, [manual]))
            self._listed = _list(folder or root, Path(self._image_root or folder or root))
        super().download_and_prepare(download_config=download_config, **options)

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[Any]]:
        listed, total = self._listed, sum(map(len, self._listed.galaxies.values()))
        self._on_status(f"{self.name}: {total:,} images in {listed.archive.place}")
        if missing := listed.missing:
            note = f"{len(missing):,} of {total + len(missing):,} listed galaxies have no image"
            self.info.metadata["note"] = f"{note}: see {MISSING} beside the prepared set"
            text = "\n".join(["split,galaxyID", *missing]) + "\n"
            (Path(self.data_dir) / MISSING).write_text(text)
        return {
            _SPLITS[split]: [
                functools.partial(_examples, listed, part, f"{self.name}/{split} {i}/{len(parts)}")
                for i, part in enumerate(parts, start=1)
            ]
            for split, parts in ((name, _shards(of)) for name, of in listed.galaxies.items())
        }


def _list(folder: Path, image_root: Path) -> _Listed:
    """Reads the label files in `folder` and looks for the images in `image_root`."""
    tables = labels.read_galaxies(folder)
    archive = Archive(locate_images(image_root))
    files = archive.find((galaxy.id for table in tables.values() for galaxy in table), folder)
    galaxies = {
        split: [each for each in table if each.id in files] for split, table in tables.items()
    }
    for split, found in galaxies.items():
        if not found:
            raise UserError(
                f"none of the galaxies in gz2_{split}.csv has an image in {archive.place}; "
                "change config.data.image_root."
            )
    missing = [
        f"{split},{each.id}"
        for split, table in tables.items()
        for each in table
        if each.id not in files
    ]
    return _Listed(archive, files, galaxies, missing)


def _shards(galaxies: Sequence[labels.Galaxy]) -> list[list[labels.Galaxy]]:
    """`galaxies` in a random order that is always the same, cut into parts for a file each."""
    # RandomState, since numpy promises its numbers for ever; those of default_rng may change.
    order = np.random.RandomState(_SEED).permutation(len(galaxies))
    parts = np.array_split(order, -(-len(galaxies) // _PER_SHARD))
    return [[galaxies[i] for i in part] for part in parts]


def _examples(
    listed: _Listed, galaxies: Sequence[labels.Galaxy], what: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and examples, with a bar that is called `what`."""
    for galaxy in tfds.core.utils.tqdm(galaxies, desc=what, unit=" images", leave=False):
        of_labels = dict(zip(labels.CLASS_NAMES, galaxy.labels, strict=True))
        file = listed.archive.read(listed.files[galaxy.id])
        yield galaxy.id, {"image": file, "galaxyID": galaxy.id, **of_labels}
