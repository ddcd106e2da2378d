"""The standard streams of a command, whatever is behind them: a terminal, nothing, a full disk."""

import contextlib
import errno
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from vitjax.errors import UserError
from vitjax.text import harmless


class HarmlessStream:
    """Standard output, with escapes for what would act on a terminal, as in the names of files.

    Raises UserError where it takes no more, as on a full disk. Where it was a terminal that is
    gone, nobody reads it, and all goes on.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text of any lines."""
        with _sayable():
            return self._stream.write(harmless(text))

    def flush(self) -> None:
        """Writes what waits to be written."""
        with _sayable():
            self._stream.flush()


@contextlib.contextmanager
def _sayable() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.EIO:
            drop_output()
            return
        raise UserError(f"cannot write to standard output: {error.strerror}") from error


@contextlib.contextmanager
def harmless_output() -> Iterator[None]:
    """Within `with`, names of files and classes may be any, and streams may be closed."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may be no text
            stream.reconfigure(errors="backslashreplace")
    output: Any = HarmlessStream(sys.stdout)
    with contextlib.redirect_stdout(output):
        yield


def open_closed_streams() -> None:
    """Opens the null device for streams that are closed, as `>&-` does.

    Else the next file that is opened, such as a checkpoint, would take their place, and get what
    libraries write to standard error.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def keep_libraries_quiet() -> None:
    """Drops the tracebacks of threads and callbacks, for the rest of this process.

    Orbax and TensorStore print them for errors that they also raise where a command can say them.
    The first of them leaves writes that it has not begun, of which Python warns.
    """
    sys.excepthook = lambda *error: None
    sys.unraisablehook = lambda error: None
    threading.excepthook = lambda error: None
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of a home that cannot be written
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)


def drop_output() -> None:
    """Gives what is left to be written to nobody, so that Python's end does not fail on it."""
    with contextlib.suppress(OSError, ValueError):  # a stream of tests has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
