"""Arrays in one .npz file."""

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from vitjax.data.dataset import Dataset, Split
from vitjax.data.readers.image_files import Wanted
from vitjax.errors import UserError
from vitjax.machine.host import available_memory
from vitjax.text import one_line

_KEYS = {  # split: (images, labels), our names, those of MedMNIST or those of Keras
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "valid": (
        ("valid_images", "valid_labels"),
        ("val_images", "val_labels"),
        ("x_valid", "y_valid"),
        ("x_val", "y_val"),
    ),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}


def read(wanted: Wanted) -> Dataset:
    """Reads train_images/train_labels, or x_train/y_train, and the same for valid (val) and test.

    Images are uint8 [N, H, W] or [N, H, W, C], labels integers [N] or [N, 1]; `class_names` may
    hold a string per class. Raises UserError in one line, and OSError as the system does.
    """
    if wanted.data_dir is None:
        raise UserError("'npz' needs a file; set config.data.data_dir to one.")
    path = Path(wanted.data_dir)
    if not path.is_file():
        raise UserError(f"there is no .npz file {path}; set config.data.data_dir to one.")
    arrays, all_names = _arrays(path, wanted.valid_fraction)
    splits = {}
    for split, choices in _KEYS.items():
        for image_key, label_key in choices:
            if (image_key in arrays) != (label_key in arrays):
                raise UserError(
                    f"{path} holds only one of {image_key} and {label_key}, expected both or "
                    "neither; write it again with np.savez."
                )
            if image_key in arrays and split in splits:
                first = next(images for images, _ in choices if images in arrays)
                raise UserError(
                    f"{path} holds both {first} and {image_key}, expected one; write it again "
                    "with np.savez."
                )
            if image_key in arrays:
                splits[split] = _split(split, image_key, label_key, arrays)
    if "train" not in splits:
        raise UserError(
            f"{path} holds the arrays {all_names}, expected train_images and train_labels "
            "(or x_train and y_train); change config.data.data_dir."
        )
    if "class_names" in arrays:
        names = tuple(_text(path, name) for name in arrays["class_names"].ravel())
    else:
        names = _numbers(path, splits["train"].labels)
    return Dataset("npz", names, splits)


def _text(path: Path, name: object) -> str:
    """The name of a class; bytes are UTF-8."""
    try:
        return name.decode() if isinstance(name, bytes) else str(name)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} has the class_names entry {error.object!r}, which is no UTF-8; "
            "write it as a string."
        ) from error


def _numbers(path: Path, labels: np.ndarray) -> tuple[str, ...]:
    """Names the classes of labels from 0 on, each of which must have an image."""
    found = np.unique(labels)
    if len(found) and found[-1] >= len(found):
        raise UserError(
            f"{path} has labels up to {found[-1]:,} but images of {len(found):,} classes alone; "
            "number them from 0 on, or add an array class_names with a string for each class"
        )
    return tuple(map(str, range(len(found))))


def _arrays(path: Path, valid_fraction: float) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of the file that we know by name, and the names of all."""
    known = {"class_names", *(key for pairs in _KEYS.values() for pair in pairs for key in pair)}
    try:
        with zipfile.ZipFile(path) as archive:
            stored = {Path(item.filename).stem: item.file_size for item in archive.infolist()}
    except zipfile.BadZipFile as error:
        raise _unreadable(path, error) from error
    _check_memory(path, {key: stored[key] for key in known.intersection(stored)}, valid_fraction)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in sorted(known.intersection(file.files))}, file.files
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _check_memory(path: Path, sizes: Mapping[str, int], valid_fraction: float) -> None:
    """Raises UserError where arrays of so many bytes, and what is copied of them, do not fit."""
    size = sum(sizes.values())
    train = sum(sizes.get(key, 0) for pair in _KEYS["train"] for key in pair)
    # Whatever is left of train is copied each time that a split is taken out of it.
    copies = (not _has("test", sizes)) + (not _has("valid", sizes) and valid_fraction > 0)
    needed = size + copies * train
    if (available := available_memory()) is not None and needed > available:
        carved = ", and what is taken of train as test or valid is copied" * (copies > 0)
        raise UserError(
            f"{path} holds {size / 1e9:.1f} GB{carved}, but {available / 1e9:.1f} GB of memory is "
            "available; write smaller images or fewer, or all three splits."
        )


def _has(split: str, names: Iterable[str]) -> bool:
    """Whether the images of a split are among arrays of these names."""
    return any(images in names for images, _ in _KEYS[split])


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} is damaged or no .npz file of numbers and strings "
        f"({one_line(error)}); write it again with np.savez."
    )


def _split(name: str, image_key: str, label_key: str, arrays: dict[str, np.ndarray]) -> Split:
    """Checks the arrays of one split and brings them to [N, H, W, C] and [N]."""
    images, labels = arrays[image_key], arrays[label_key]
    if images.dtype != np.uint8:
        how = (
            f"({image_key} * 255.0).round().astype(np.uint8) if they lie in [0, 1]"
            if images.dtype.kind in "fb"
            else f"{image_key}.astype(np.uint8) if they lie in 0..255"
        )
        raise UserError(f"{image_key} is {images.dtype}, expected uint8; convert it: {how}.")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise UserError(
            f"{image_key} has the shape {list(images.shape)}, expected [N, H, W] or [N, H, W, C]; "
            "reshape it in the file of config.data.data_dir."
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape[:1] != (labels.size,):
        raise UserError(
            f"{label_key} is {labels.dtype} {list(labels.shape)}, expected integers [N] or [N, 1]; "
            f"convert it: {label_key}.argmax(1) if one-hot, else {label_key}.astype(np.int32)."
        )
    if len(labels) != len(images):
        raise UserError(
            f"{image_key} has {len(images):,} entries and {label_key} {len(labels):,}, expected "
            "as many; repair the file of config.data.data_dir."
        )
    bad = np.flatnonzero((labels < 0) | (labels > np.iinfo(np.int32).max))
    if len(bad):  # int32 would make other classes of them
        raise UserError(
            f"{label_key} has {len(bad):,} labels below 0 or above 2**31 - 1, the first "
            f"{labels.ravel()[bad[0]]} at index {bad[0]}; correct them"
        )
    ids = np.array([f"{name}/{i}" for i in range(len(labels))], str)
    return Split(images, labels.reshape(-1).astype(np.int32), ids)
