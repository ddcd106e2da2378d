"""A lock on an open file, which its process holds until the file is closed, or it is killed."""

import importlib
import sys
from typing import IO, Any


def taken(file: IO[Any]) -> bool:
    """Takes the lock of an open file; returns False where another process has it.

    Where the file system knows no locks, nobody is kept out.
    """
    try:
        if sys.platform == "win32":
            msvcrt: Any = importlib.import_module("msvcrt")  # of Windows alone
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl: Any = importlib.import_module("fcntl")  # of all others
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
