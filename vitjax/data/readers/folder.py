"""Images in folders named after their class."""

import os
from pathlib import Path

from vitjax.data.dataset import Dataset
from vitjax.data.readers.image_files import Files, Listing, Wanted, read_files
from vitjax.errors import UserError

_SPLIT_OF = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}


def read(wanted: Wanted) -> Dataset:
    """Reads DIR/class/image, or DIR/train/class/image with valid and test beside train.

    Classes are the sorted names of the folders in train. Hidden files and files that are no images
    by their extension are left out. Raises UserError in one line, and OSError as the system does.
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
    class_names = _class_names(split_folders["train"])
    listing: Listing = {}
    for split, folder in split_folders.items():
        for name in _class_names(folder):
            if name not in class_names:
                raise UserError(
                    f"{folder / name} is a class that train lacks; expected {_some(class_names)}; "
                    "remove the folder or add it to train in config.data.data_dir."
                )
        paths, labels = _list_split(folder, class_names, must_have_all=split == "train")
        listing[split] = Files(paths, labels, [os.path.relpath(path, root) for path in paths])
    return read_files("folder", tuple(class_names), listing, wanted.options, wanted.on_status)


def _split_folders(root: Path) -> dict[str, Path]:
    """Folders of the splits; the root alone as train when it holds the classes itself."""
    names = _class_names(root)
    found: dict[str, Path] = {}
    for name in names:
        split = _SPLIT_OF.get(name.lower())
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


def _class_names(folder: Path) -> list[str]:
    """Sorted names of the folders in `folder`, of which there must be some."""
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    names = sorted(entry.name for entry in entries if entry.is_dir())
    if names:
        return names
    if entries:
        raise UserError(
            f"{folder} holds {len(entries):,} files but no folder per class, expected "
            f"{folder.name}/CLASS/IMAGE; move the images into one folder per class, or list "
            "their labels in a file with config.data.name='csv'."
        )
    raise UserError(f"{folder} is empty, expected a folder per class; set config.data.data_dir.")


def _list_split(
    folder: Path, class_names: list[str], must_have_all: bool
) -> tuple[list[str], list[int]]:
    """Paths and labels of one split, by class and then by name."""
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        if not (folder / name).is_dir():
            continue
        files = image_files(folder / name)
        if must_have_all and not files:
            raise UserError(
                f"{folder / name} holds no image, expected some for this class; fill or remove "
                "that folder, or change config.data.data_dir."
            )
        paths += files
        labels += [label] * len(files)
    return paths, labels


def image_files(folder: Path) -> list[str]:
    """Paths of the images in a folder, by name: no hidden files, nor what is none by extension.

    Raises UserError where the folder cannot be read.
    """
    from PIL import Image

    extensions = {ext for ext, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    try:
        return sorted(
            entry.path
            for entry in os.scandir(folder)
            if entry.is_file()
            and not entry.name.startswith(".")
            and os.path.splitext(entry.name)[1].lower() in extensions
        )
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or folder} ({error.strerror}); mend or remove it."
        ) from error


def _some(names: list[str]) -> str:
    """The first names, for a message."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
