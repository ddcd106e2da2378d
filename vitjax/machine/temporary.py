"""Temporary folders, which are removed where a signal ends the process, too."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vitjax.machine import signals


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None, prefix: str = "vitjax-") -> Iterator[Path]:
    """Makes a folder in `parent`, or where the system has such, and removes it after the block."""
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as folder,
        signals.before_end(lambda: shutil.rmtree(folder, ignore_errors=True)),
    ):
        yield Path(folder)
