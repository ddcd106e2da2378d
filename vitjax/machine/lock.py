"""A lock on an open file, which its process holds until the file is closed, or it is killed."""

import importlib
import os
import sys
from pathlib import Path
from typing import IO, Any

_LOCKED_BYTE = 2**30  # on Windows, which locks bytes: one beyond what the file holds


def taken(file: IO[Any], *, shared: bool = False) -> bool:
    """Takes the lock of an open file; returns False where another process has it.

    Where the file system knows no locks, nobody is kept out. Who takes it `shared` keeps out only
    those who do not.
    """
    try:
        if sys.platform == "win32":
            msvcrt: Any = importlib.import_module("msvcrt")  # of Windows alone
            os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # has no shared kind
        else:
            fcntl: Any = importlib.import_module("fcntl")  # of all others
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; not where the file cannot be read."""
    try:
        with path.open("rb") as file:
            return not taken(file, shared=True)
    except OSError:
        return False
