"""Files that are written whole or not at all."""

import contextlib
import errno
import fnmatch
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from vitjax.errors import UserError


def local_folder(workdir: str | Path) -> Path:
    """Returns the path of a run's folder; ~ is the home, which shells leave in --workdir=~/run.

    Raises UserError where it can be none of this machine, or may not be entered.
    """
    if not isinstance(workdir, str | os.PathLike):
        raise UserError(f"workdir={workdir!r} should be the path of a folder, as 'runs/mnist'")
    if re.match(r"[a-z][a-z0-9+.-]+://", str(workdir)):
        raise UserError(
            f"--workdir={workdir} is no folder of this machine; give one that is, or mount the "
            "bucket, and copy the folder when the run has ended (gsutil cp -r, aws s3 cp)"
        )
    if "\0" in str(workdir):
        raise UserError(f"--workdir={workdir} holds a null character; choose another")
    folder = Path(os.path.expanduser(workdir))
    try:
        os.stat(folder / "config.json")
    except PermissionError as error:
        raise UserError(
            f"cannot read --workdir={workdir}: {error.strerror}; make it readable, or use another"
        ) from error
    except OSError:  # who reads or writes there says what is wrong
        pass
    return folder


def folder_to_write(workdir: str | Path) -> Path:
    """Returns `local_folder(workdir)`; raises UserError where what Orbax saves there would be lost.

    It finds its files by a pattern that begins with the path, and takes a backslash for a slash.
    """
    folder = local_folder(workdir)
    for part in folder.absolute().parts[1:]:
        if "\\" in part or not fnmatch.fnmatchcase(part, part):
            raise UserError(
                f"--workdir={workdir} lies in {part!r}, expected a path without brackets and "
                "backslashes, which checkpoints do not survive; choose another"
            )
    return folder


def visible(folder: Path, pattern: str = "*") -> list[Path]:
    """Returns what matches in a folder, by name, without hidden files.

    Such as the ._NAME that macOS puts beside each file NAME of an archive.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def read(path: Path) -> bytes:
    """Returns what a file holds; raises OSError, also for a pipe or a device, that may not end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is no file")
    return path.read_bytes()


def write(path: Path, content: str | bytes) -> None:
    """Writes a file, whole or not at all; raises UserError where the disk refuses."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[Any]]:
    """Opens a binary file that takes the place of `path` when the block ends without an error."""
    partial = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")  # no other process writes there
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
