"""What tells that a checkpoint is whole: a manifest among its files, written before it appears."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from vitjax import files
from vitjax.config import flatten
from vitjax.errors import UserError
from vitjax.runs import schema
from vitjax.runs.changes import differences

MANIFEST = "manifest.json"
# Orbax writes it in a thread of its own, at any time; it is no part of the state.
ORBAX_METADATA = "_CHECKPOINT_METADATA"
_NOT_HASHED = (MANIFEST, ORBAX_METADATA)


class Manifest(TypedDict):
    """What the manifest of a checkpoint says."""

    step: NotRequired[int]  # absent in older folders
    files: dict[str, str]  # path -> sha256
    made_with: dict[str, dict[str, Any]]  # file of the run -> what it said; {} in older folders


def saved_steps(checkpoints: Path) -> list[int]:
    """Returns the steps that have a checkpoint in a folder, oldest first.

    A step without a manifest was not written to its end, or is none of ours; one whose manifest is
    of another step is a copy.
    """
    return [step for step in step_folders(checkpoints) if not why_not(checkpoints / str(step))]


def why_not(folder: Path) -> str:
    """Returns why a step's folder is no checkpoint of that step; "" if it is one."""
    with _reading(_file(folder)):
        there = _file(folder).exists()
    if not there:
        return f"has no {MANIFEST}, so it is no whole checkpoint"
    found = _read(folder)
    step = found.get("step") if found else None  # a damaged one is told elsewhere
    return "" if step is None or str(step) == folder.name else f"is a copy of step {step}"


def step_folders(checkpoints: Path) -> list[int]:
    """Returns the steps that have a folder, oldest first, be it whole or not."""
    with _reading(checkpoints):
        if not checkpoints.is_dir():
            return []
        names = [path.name for path in checkpoints.iterdir() if path.is_dir()]
    return sorted(int(n) for n in names if n.isascii() and n.isdecimal() and n == str(int(n)))


def seal(folder: Path, step: int, made_with: Mapping[str, Any]) -> None:
    """Writes the manifest of the checkpoint of a step, whose files lie in `folder`."""
    hashes = {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _NOT_HASHED
    }
    content = {"step": step, "files": hashes, "made_with": made_with}
    files.write(_file(folder), json.dumps(content, indent=1))


def check(folder: Path, now: Mapping[str, Any]) -> None:
    """Raises UserError unless a checkpoint was made with what the run's files say `now`."""
    found = _read(folder)
    for name, then in found["made_with"].items() if found else ():
        new = json.loads(json.dumps(now[name])) if name in now else {}  # tuples become lists
        if changes := differences(flatten(then), flatten(new)):
            raise UserError(
                f"{name} does not fit the checkpoint {folder}: {'; '.join(changes)[:300]}. Put "
                f"back the {name} of this run, or use another --workdir"
            )


def _read(folder: Path) -> Manifest | None:
    """Returns the manifest of a checkpoint; None for one that is damaged."""
    with _reading(_file(folder)):
        text = _file(folder).read_bytes() if _file(folder).is_file() else b""
    try:
        content = schema.parse(text, dict[str, Any])
        if "made_with" not in content:  # as it was before it told that
            content = {"files": content, "made_with": {}}
        return None if schema.problem(content, Manifest) else content
    except ValueError:
        return None


def changed_file(folder: Path) -> str | None:
    """Returns a file of a checkpoint that is not as its manifest says; None without any.

    What the manifest does not list does not matter. Raises UserError for one that cannot be read.
    """
    found = _read(folder)
    if found is None or not found["files"]:
        return MANIFEST
    for name, digest in sorted(found["files"].items()):
        path = folder / name
        if path.name in _NOT_HASHED:
            continue
        with _reading(path):
            if not (path.is_file() and _sha256(path) == digest):
                return name
    return None


def digest(folder: Path) -> str:
    """Returns what tells a checkpoint, and what it was made with, from any other; "" if lost."""
    with _reading(_file(folder)):
        return _sha256(_file(folder)) if _file(folder).is_file() else ""


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns the system's refusal to read into a UserError: what is unreadable may be whole."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or path}: {error.strerror}; make it readable, or use "
            "another --workdir"
        ) from error


def _file(folder: Path) -> Path:
    return folder / MANIFEST


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
