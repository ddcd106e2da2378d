"""Images in folders named after their class."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vitjax.data.dataset import Dataset
from vitjax.data.duplicates import look_alike
from vitjax.data.readers.image_files import Files, Listing, Wanted, read_files
from vitjax.errors import UserError
from vitjax.text import printable

SPLIT_OF = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}
_OF_SYSTEMS = ("thumbs.db", "desktop.ini")  # beside hidden files
_FOLDERS_OF_SYSTEMS = (
    "__macosx",
    "@eadir",
    "lost+found",
    "system volume information",
    "$recycle.bin",
)
_SHOWN = 6  # kinds of what is left out


def read(wanted: Wanted) -> Dataset:
    """Reads DIR/class/image, or DIR/train/class/image with valid and test beside train.

    Classes are the sorted names of the folders in train. What is no image by its suffix is left
    out; a line counts it, but for hidden files. Raises UserError in one line, and OSError as the
    system does.
    """
    if wanted.data_dir is None:
        raise UserError("'folder' needs a folder of images; set config.data.data_dir.")
    root = Path(wanted.data_dir)
    if not root.is_dir():
        raise UserError(
            f"there is no folder {root}; set config.data.data_dir to a folder that holds one "
            "folder of images per class."
        )
    split_folders = _split_folders(root)
    if split_folders["train"] != root:
        _say_other_folders(root, split_folders, wanted.on_status)
    class_names = _class_names(split_folders["train"])
    listing: Listing = {}
    left_out: Counter[str] = Counter()
    for split, folder in split_folders.items():
        for name in _class_names(folder):
            if name not in class_names:
                alike = look_alike([*class_names, name])
                raise UserError(
                    f"{folder / name} is a class that train lacks; expected {_some(class_names)}; "
                    + (f"{alike}, or " if alike else "")
                    + "remove the folder or add it to train in config.data.data_dir."
                )
        paths, labels, others = _list_split(folder, class_names, must_have_all=split == "train")
        left_out += others
        listing[split] = Files(paths, labels, [os.path.relpath(path, root) for path in paths])
    if left_out:
        wanted.on_status(
            f"left out {left_out.total():,} entries of {root}: {_told(left_out)}; what is read "
            "are files whose suffix Pillow knows, such as .jpg, .png, .tif and .webp"
        )
    return read_files("folder", tuple(class_names), listing, wanted.options, wanted.on_status)


def _split_folders(root: Path) -> dict[str, Path]:
    """Folders of the splits; the root alone as train when it holds the classes itself."""
    names = _class_names(root)
    found: dict[str, Path] = {}
    for name in names:
        split = SPLIT_OF.get(name.lower())
        if split in found:
            raise UserError(
                f"{root} holds both {found[split].name} and {name}, expected one folder per "
                "split; remove one from config.data.data_dir."
            )
        if split:
            found[split] = root / name
    if "train" in found:
        order = ("train", "valid", "test")
        return {split: found[split] for split in order if split in found}
    if len(found) == len(names):  # only valid or test
        raise UserError(
            f"{root} holds {', '.join(names)} but no folder train; add it or change "
            "config.data.data_dir."
        )
    return {"train": root}


def _say_other_folders(
    root: Path, split_folders: dict[str, Path], say: Callable[[str], None]
) -> None:
    """Says which folders beside train are no splits, as one whose name is another word for test."""
    read = {folder.name for folder in split_folders.values()}
    others = [name for name in subfolders(root) if name not in read]
    if others:
        say(
            f"left out {printable(_some(others))} beside train in {root}; what is read is called "
            f"{', '.join(SPLIT_OF)}"
        )


def subfolders(folder: str | Path) -> list[str]:
    """Sorted names of the folders in `folder`, but for hidden ones and those of systems."""
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir()
        and not entry.name.startswith(".")
        and entry.name.lower() not in _FOLDERS_OF_SYSTEMS
    )


def _class_names(folder: Path) -> list[str]:
    """Sorted names of the folders in `folder`, of which there must be some."""
    names = subfolders(folder)
    if names:
        return names
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    if entries:
        raise UserError(
            f"{folder} holds {len(entries):,} files but no folder per class, expected "
            f"{folder.name}/CLASS/IMAGE; move the images into one folder per class, or list "
            "their labels in a file with config.data.name='csv'."
        )
    raise UserError(f"{folder} is empty, expected a folder per class; set config.data.data_dir.")


def _list_split(
    folder: Path, class_names: list[str], must_have_all: bool
) -> tuple[list[str], list[int], Counter[str]]:
    """Paths and labels of one split, by class and then by name, and what is left out."""
    paths: list[str] = []
    labels: list[int] = []
    left_out: Counter[str] = Counter()
    for label, name in enumerate(class_names):
        if not (folder / name).is_dir():
            continue
        files, others = _scan(folder / name)
        if must_have_all and not files:
            but = f" (but {_told(others)})" if others else ""
            raise UserError(
                f"{folder / name} holds no image{but}, expected some for this class; fill or "
                "remove that folder, or change config.data.data_dir."
            )
        paths += files
        labels += [label] * len(files)
        left_out += others
    return paths, labels, left_out


def image_files(folder: Path) -> list[str]:
    """Paths of the images in a folder, by name: no hidden files, nor what is none by extension.

    Raises UserError where the folder cannot be read.
    """
    return _scan(folder)[0]


def _scan(folder: Path) -> tuple[list[str], Counter[str]]:
    """Paths of the images in a folder, by name, and how many entries of each other kind it has."""
    from PIL import Image

    suffixes = {ext for ext, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    images: list[str] = []
    others: Counter[str] = Counter()
    try:
        for entry in os.scandir(folder):
            if entry.name.startswith(".") or entry.name.lower() in _OF_SYSTEMS:
                continue
            if (kind := _kind(entry)) in suffixes:
                images.append(entry.path)
            else:
                others[kind] += 1
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or folder} ({error.strerror}); mend or remove it."
        ) from error
    return sorted(images), others


def _kind(entry: os.DirEntry) -> str:
    """The suffix of a file, in small letters, or in words what else an entry of a folder is."""
    if entry.is_file():
        return os.path.splitext(entry.name)[1].lower() or "without suffix"
    if entry.is_dir():
        return "folder"
    return "link that leads nowhere" if entry.is_symlink() else "no file"


def _told(kinds: Counter[str]) -> str:
    """How many of each kind there are, the most frequent first, for a message."""
    order = sorted(kinds, key=lambda kind: (-kinds[kind], kind))
    shown = printable(", ".join(f"{kind} {kinds[kind]:,}" for kind in order[:_SHOWN]))
    return shown + (f" and {len(order) - _SHOWN:,} other kinds" if len(order) > _SHOWN else "")


def _some(names: list[str]) -> str:
    """The first names, for a message."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
