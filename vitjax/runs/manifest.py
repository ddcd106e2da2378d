"""What tells that a checkpoint is whole: a manifest among its files, written before it appears."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vitjax import files

MANIFEST = "manifest.json"
# Orbax writes it in a thread of its own, at any time; it is no part of the state.
_NOT_HASHED = (MANIFEST, "_CHECKPOINT_METADATA")


class Manifest(NamedTuple):
    """What the manifest of a checkpoint says."""

    files: Mapping[str, str]  # path -> sha256
    of: Mapping[str, Any]  # of what it is a state, as it was given; {} in older folders


def saved_steps(checkpoints: Path) -> list[int]:
    """Returns the steps that have a checkpoint in a folder, oldest first.

    A step without a manifest was not written to its end, or is none of ours.
    """
    return [step for step in step_folders(checkpoints) if _file(checkpoints / str(step)).exists()]


def step_folders(checkpoints: Path) -> list[int]:
    """Returns the steps that have a folder, oldest first, be it whole or not."""
    if not checkpoints.is_dir():
        return []
    names = [path.name for path in checkpoints.iterdir() if path.is_dir()]
    return sorted(int(n) for n in names if n.isascii() and n.isdecimal() and n == str(int(n)))


def seal(folder: Path, of: Mapping[str, Any]) -> None:
    """Writes the manifest of a checkpoint whose files lie in `folder`, with what it is `of`."""
    hashes = {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _NOT_HASHED
    }
    files.write(_file(folder), json.dumps({"files": hashes, "of": of}, indent=1))


def read(folder: Path) -> Manifest | None:
    """Returns the manifest of a checkpoint; None for one that is damaged."""
    try:
        content = json.loads(_file(folder).read_text())
        if "of" not in content:  # as it was before it told that
            content = {"files": content, "of": {}}
        found = Manifest(dict(content["files"]), dict(content["of"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return found if all(isinstance(digest, str) for digest in found.files.values()) else None


def changed_file(folder: Path) -> str | None:
    """Returns a file of a checkpoint that is not as its manifest says; None without any.

    What the manifest does not list does not matter.
    """
    manifest = read(folder)
    if manifest is None or not manifest.files:
        return MANIFEST
    for name, digest in sorted(manifest.files.items()):
        path = folder / name
        if path.name not in _NOT_HASHED and not (path.is_file() and _sha256(path) == digest):
            return name
    return None


def _file(folder: Path) -> Path:
    return folder / MANIFEST


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
