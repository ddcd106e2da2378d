"""What is known of a data set before its images are read: how many, of what size, which classes."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vitjax.data.dataset import SPLITS, Dataset, Split
from vitjax.data.readers import csv, digits, galaxy_zoo2
from vitjax.data.readers.folder import SPLIT_OF, image_files, subfolders
from vitjax.data.readers.image_files import ReadOptions, Wanted, thin
from vitjax.data.readers.pixels import GRAY_MODES, header
from vitjax.data.readers.tfds import present_splits
from vitjax.errors import UserError

_TEST_FRACTION = 0.2  # of train, for a set without a test split
_FILES = ("folder", "csv", "npz")
_MNIST = ((28, 28, 1), {"label": 10}, {"train": 60_000, "test": 10_000})
_CIFAR = {"train": 50_000, "test": 10_000}
_GALAXIES = {"train": 99_808, "valid": 24_952, "test": 31_191}  # of the published label files
# Sets that need not be here: H, W, C, classes by the column of the label, images of each split.
_KNOWN: dict[str, tuple[tuple[int, int, int], dict[str, int], dict[str, int]]] = {
    "mnist": _MNIST,
    "fashion_mnist": _MNIST,
    "cifar10": ((32, 32, 3), {"label": 10}, _CIFAR),
    "cifar100": ((32, 32, 3), {"label": 100, "coarse_label": 20}, _CIFAR),
    "svhn_cropped": ((32, 32, 3), {"label": 10}, {"train": 73_257, "test": 26_032}),
    "galaxy_zoo2": (
        (424, 424, 3),
        {"label": 8, "label1": 8, "label2": 5, "label3": 4, "label4": 3},
        _GALAXIES,
    ),
}


class Outline(NamedTuple):
    """A data set without its images."""

    name: str
    image_shape: tuple[int, int, int]  # H, W, C as they will lie on the device
    num_classes: int
    counts: Mapping[str, int]  # images of each split
    exact: bool  # False: within one a class, as the sizes of the classes are not known

    def stand_in(self) -> Dataset:
        """Returns a data set like it: black images that take no memory, of all classes in turn."""
        splits = {}
        for name, count in self.counts.items():
            images = np.broadcast_to(np.uint8(0), (count, *self.image_shape))
            labels = np.arange(count, dtype=np.int32) % self.num_classes
            splits[name] = Split(images, labels, np.broadcast_to(np.array(""), count))
        return Dataset(self.name, tuple(map(str, range(self.num_classes))), splits)


class _Stored(NamedTuple):
    """What is stored: before images are resized, and splits carved."""

    image_shape: Sequence[int | None]  # None: they differ, or it is not known
    classes: Mapping[str, list[int]]  # images of each class, by split
    exact: bool


def check_place(data: ConfigDict) -> None:
    """Raises UserError where `config.data` names files that are not there."""
    if data.name == "galaxy_zoo2":
        return _check_galaxies(data)
    if data.name not in _FILES:
        return
    if not data.data_dir:
        raise _unknown_place(data)
    if not _path(data.data_dir).exists():
        kind = "folder" if data.name == "folder" else "file"
        raise UserError(f"there is no {kind} {data.data_dir}; change config.data.data_dir")


def _check_galaxies(data: ConfigDict) -> None:
    """Raises UserError unless the galaxies are prepared, or all is there to prepare them."""
    root = _tfds_root(data.data_dir)
    if _infos(data.name, data.data_dir):
        return
    if folder := galaxy_zoo2.find_labels(root):
        galaxy_zoo2.locate_images(_path(data.image_root) if data.image_root else folder)
    elif not data.data_dir:
        raise _unknown_place(data)
    else:
        raise UserError(
            f"{data.data_dir} holds neither gz2_train.csv nor a prepared {data.name}; "
            "change config.data.data_dir"
        )


def _unknown_place(data: ConfigDict) -> UserError:
    return UserError(
        f"config.data.name={data.name!r} needs to know where the data lies; set "
        "config.data.data_dir"
    )


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text))  # Path's own raises for an unknown user


def outline(data: ConfigDict) -> Outline | None:
    """Returns what `config.data` will be when it is read; None where that is not known before.

    Raises UserError for a list of labels that cannot be read.
    """
    stored = _stored(data)
    if stored is None:
        return None
    height, width, channels = stored.image_shape
    height, width = data.image_size or height, data.image_size or width
    channels = data.channels or channels
    if not (height and width and channels):
        return None
    classes = {
        split: _at_most(counts, data.max_examples) for split, counts in stored.classes.items()
    }
    for split, fraction in (("test", _TEST_FRACTION), ("valid", data.valid_fraction)):
        if split not in classes:
            taken = [min(int(n * fraction + 0.5), n - 1) for n in classes["train"]]
            if any(count > 0 for count in taken):
                classes[split] = taken
                left = zip(classes["train"], taken, strict=True)
                classes["train"] = [count - gone for count, gone in left]
    return Outline(
        data.name,
        (height, width, channels),
        len(classes["train"]),
        {split: sum(classes[split]) for split in ("train", "valid", "test") if split in classes},
        stored.exact and not data.max_examples,
    )


def _at_most(counts: list[int], limit: int) -> list[int]:
    """Returns the images of each class where `limit` (0: all) of a split are read."""
    total = sum(counts)
    if not limit or total <= limit:
        return counts
    taken = [count * limit // total for count in counts]
    missing = limit - sum(taken)
    return [count + (i < missing) for i, count in enumerate(taken)]


def _stored(data: ConfigDict) -> _Stored | None:
    if data.name == "digits":
        read = digits.read(Wanted("digits"))  # comes with scikit-learn, and is small
        classes = {name: np.bincount(split.labels).tolist() for name, split in read.splits.items()}
        return _Stored(read.image_shape, classes, exact=True)
    path = _path(data.data_dir)
    if data.name in _FILES and (not data.data_dir or not path.exists()):
        return None
    if data.name == "folder":
        return _of_folder(path, data)
    if data.name == "csv":
        return _of_csv(path, data)
    if data.name == "npz":
        return None
    infos = _infos(data.name, data.data_dir)
    if infos:
        return _of_info(infos[-1], data.label_column)
    if data.name == "galaxy_zoo2":
        return _of_galaxies(galaxy_zoo2.find_labels(_tfds_root(data.data_dir)), data.label_column)
    return _known(data.name, data.label_column)


def _known(name: str, label_column: str) -> _Stored | None:
    """Returns what is known of a set by its name; None where it, or the label, is not known."""
    if name not in _KNOWN or label_column not in _KNOWN[name][1]:
        return None
    shape, num_classes, counts = _KNOWN[name]
    classes = {split: _evenly(n, num_classes[label_column]) for split, n in counts.items()}
    return _Stored(shape, classes, exact=False)


def _of_folder(root: Path, data: ConfigDict) -> _Stored | None:
    """Returns what the listing of DIR/class/image or DIR/split/class/image tells."""
    found = {SPLIT_OF.get(path.name.lower(), ""): path for path in _folders(root)}
    splits = {split: path for split, path in found.items() if split}
    if "train" not in splits:
        splits = {"train": root}
    files = {
        split: [image_files(path) for path in _folders(folder)] for split, folder in splits.items()
    }
    images = {split: [*itertools.chain(*of_classes)] for split, of_classes in files.items()}
    if not images["train"]:
        return None  # the reader says what is wrong
    classes = {split: list(map(len, paths)) for split, paths in files.items()}
    return _Stored(_shape_of(images, data), classes, exact=True)


def _folders(root: Path) -> list[Path]:
    try:
        return [root / name for name in subfolders(root)]
    except OSError:  # the reader says what is wrong
        return []


def _of_csv(path: Path, data: ConfigDict) -> _Stored:
    """Returns what the lines of one file, or of the files of splits in a folder, tell."""
    files = csv.find(str(path))
    rows = {split: csv.read_rows(file, "path", data.label_column) for split, file in files.items()}
    root = _path(data.image_root) if data.image_root else files["train"].parent
    images = {s: [os.path.join(root, row.path) for row in lines] for s, lines in rows.items()}
    return _Stored(_shape_of(images, data), _by_class(rows), exact=True)


def _of_galaxies(folder: Path | None, label_column: str) -> _Stored | None:
    """Returns what the label files tell; the images, all of one size, may be fewer."""
    if folder is None:
        return _known("galaxy_zoo2", label_column)
    column = "label1" if label_column == "label" else label_column
    classes = _by_class(galaxy_zoo2.read_tables(str(folder), column))
    return _Stored(_KNOWN["galaxy_zoo2"][0], classes, exact=False)


def _by_class(rows: Mapping[str, Iterable[csv.Row]]) -> dict[str, list[int]]:
    counts = {split: Counter(row.label for row in lines) for split, lines in rows.items()}
    return {split: [of[label] for label in sorted(counts["train"])] for split, of in counts.items()}


def _shape_of(
    files: Mapping[str, Sequence[str]], data: ConfigDict
) -> tuple[int | None, int | None, int | None]:
    """Returns H, W of the first image file of train, and C of all files, as their heads tell.

    None each where the first has no head; C is config.data.channels where that is given.
    """
    found = header(files["train"][0])
    if found is None:
        return None, None, None
    (width, height), _ = found
    return height, width, data.channels or (1 if _all_gray(files, data) else 3)


def _all_gray(files: Mapping[str, Sequence[str]], data: ConfigDict) -> bool:
    """Whether each image that will be read is gray, as the reader asks; one with colour tells."""
    options = ReadOptions(max_examples=data.max_examples or None)
    read = (paths[i] for paths in files.values() for i in thin(len(paths), options))
    return all(found is None or found[1] in GRAY_MODES for found in map(header, read))


def _tfds_root(data_dir: str) -> Path:
    """Returns the folder that TFDS prepares its sets in."""
    return _path(data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"))


def _infos(name: str, data_dir: str) -> list[Path]:
    """Returns what TFDS has written beside a prepared set, by version."""
    name, _, version = name.partition(":")
    folder = _tfds_root(data_dir).joinpath(*name.split("/"))
    return sorted(folder.glob(f"{version or '[0-9]*'}/dataset_info.json"))


def _of_info(file: Path, label_column: str) -> _Stored | None:
    """Returns what dataset_info.json, and features.json beside it, tell."""
    try:
        info = json.loads(file.read_text())
        features = json.loads((file.parent / "features.json").read_text())
        of = features["featuresDict"]["features"]
        keys = [item["featureKey"] for item in info["supervisedKeys"]["tuple"]["items"]]
        sides = [int(side) for side in of[keys[0]]["image"]["shape"]["dimensions"]]
        label_key = keys[1] if label_column == "label" else label_column
        num_classes = int(of[label_key]["classLabel"]["numClasses"])
        totals = {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
    except (OSError, ValueError, LookupError):
        return None  # another set than one of images with a label each
    known = {ours: totals[theirs] for ours, theirs in present_splits(totals).items()}
    if "train" not in known:
        return None
    classes = {split: _evenly(count, num_classes) for split, count in known.items()}
    sides_or_none = [side if side > 0 else None for side in sides]
    return _Stored(sides_or_none, classes, exact=len(known) == len(SPLITS))  # nothing is carved


def _evenly(count: int, num_classes: int) -> list[int]:
    return [count // num_classes + (i < count % num_classes) for i in range(num_classes)]
