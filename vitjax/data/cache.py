"""Stored images decoded once, into files that runs map into memory and share."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import vitjax
from vitjax import files
from vitjax.data.dataset import Dataset
from vitjax.data.images import Images, StoredImages, in_slices
from vitjax.errors import UserError
from vitjax.machine import lock

_SLICE = 256  # images that a thread decodes at a time
_POLL_SECONDS = 1


def cached(dataset: Dataset, folder: Path, options: object, say: Callable[[str], None]) -> Dataset:
    """Returns a data set whose stored images are decoded in a file below `folder`, made if absent.

    Its name depends on the stored images, and on `options` and versions that decode them. Its
    sha256 is compared before it is used; one that is damaged is made again. A split that is in
    memory stays so. Raises UserError where the folder cannot be written.
    """
    splits = {}
    for name, split in dataset.splits.items():
        images = split.images
        if isinstance(images, StoredImages):
            decoders = f"{vitjax.__version__} {importlib.metadata.version('pillow')}"
            text = f"{images.fingerprint()} {images.shape} {options} {decoders}"
            key = hashlib.sha256(text.encode()).hexdigest()[:16]
            where = folder / f"{dataset.name.replace('/', '-')}-{name}-{key}"
            images = _mapped(where, images, say)
        splits[name] = dataclasses.replace(split, images=images)
    return dataclasses.replace(dataset, splits=splits)


def _mapped(where: Path, images: Images, say: Callable[[str], None]) -> np.ndarray:
    """Returns the file of images, in a folder of its own, mapped into memory."""
    try:
        where.mkdir(parents=True, exist_ok=True)
        with _alone(where, say):
            if not _is_whole(where, say):
                _write(where, images, say)
        return np.load(where / "images.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"cannot use the cache {where} ({error}); change config.data.cache, or leave it empty"
        ) from error


def _is_whole(where: Path, say: Callable[[str], None]) -> bool:
    """Whether the file is there, and as it was written."""
    file, written = where / "images.npy", where / "sha256.json"
    if not (file.exists() and written.exists()):
        return False
    started = time.perf_counter()
    whole = written.read_bytes() == _checksum(file)
    seconds = time.perf_counter() - started
    say(f"cache     {where}: {'as written' if whole else 'damaged, made again'} ({seconds:.1f} s)")
    return whole


def _write(where: Path, images: Images, say: Callable[[str], None]) -> None:
    """Decodes the images into the file, whose checksum is written last."""
    size, whole, partial = np.prod(images.shape), where / "images.npy", where / "images.npy.part"
    for path in (whole, where / "sha256.json", partial):  # damaged, or left by a kill
        path.unlink(missing_ok=True)
    free = shutil.disk_usage(where).free
    if size > free:
        raise UserError(
            f"the cache {where} would take {size / 1e9:.1f} GB, but {free / 1e9:.1f} GB of the "
            "disk are free; change config.data.cache or lower config.data.image_size"
        )
    say(f"cache     decoding {len(images):,} images ({size / 1e9:.1f} GB) into {where}")
    shape = tuple(map(int, images.shape))
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with partial.open("wb") as file:  # not mapped: a disk that fills up would end the process
            np.lib.format.write_array_header_1_0(file, header)
            for part in in_slices(images, _SLICE):
                file.write(np.ascontiguousarray(part).data)
        partial.replace(whole)
    finally:
        partial.unlink(missing_ok=True)  # whose place others need
    files.write(where / "sha256.json", _checksum(whole))


@contextlib.contextmanager
def _alone(where: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process writes or checks these files."""
    with open(where / ".lock", "w") as file:
        if not lock.taken(file):
            say(f"cache     waiting for another process that uses {where}")
            while not lock.taken(file):
                time.sleep(_POLL_SECONDS)
        yield


def _checksum(path: Path) -> bytes:
    """What sha256.json holds of a file."""
    with path.open("rb") as file:
        return json.dumps({path.name: hashlib.file_digest(file, "sha256").hexdigest()}).encode()
