"""SIGTERM, Ctrl-C and a terminal that closes, heard at any moment, whatever the main thread does.

Python runs a handler in the main thread, between two of its instructions: not within a compilation
that takes minutes, and an exception that it raises within a callback of the garbage collector is
lost. So a command's handlers do nothing. Python also writes a signal's number into a pipe, and a
thread that reads it ends the process, or tells who has something to do first.
"""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from vitjax.errors import UserError

_WORDS = {"SIGINT": b"interrupted\n", "SIGTERM": b"terminated\n", "SIGHUP": b"hung up\n"}
NUMBERS = tuple(number for number in signal.Signals if number.name in _WORDS)  # of this system

_takers: list[Callable[[int], None]] = []  # the last one gets the next signal
_cleaners: list[Callable[[], None]] = []  # called before this process ends
_pipe: list[int] = []  # both ends, once this process listens


def is_command() -> bool:
    """Whether this process is `vitjax` or `python -m vitjax...`, and runs nothing else."""
    words = sys.orig_argv
    if "-m" in words:
        return "".join(words[words.index("-m") + 1 :][:1]).startswith("vitjax")
    script = os.path.basename("".join(words[1:2]))
    return script in ("vitjax", "vitjax.exe", "vitjax-script.py")


def listen() -> None:
    """Ends this process with one line at a signal, from now on; again: after others took it away.

    The exit code is 128 and the signal's number, as in a shell.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if not _pipe:
        _pipe.extend(os.pipe())
        if hasattr(os, "set_blocking"):  # Windows needs it no more than it has it
            os.set_blocking(_pipe[1], False)
        if hasattr(os, "register_at_fork"):
            mask = functools.partial(signal.pthread_sigmask, signal.SIG_BLOCK, NUMBERS)
            unmask = functools.partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, NUMBERS)
            os.register_at_fork(before=mask, after_in_parent=unmask, after_in_child=_forget)
        threading.Thread(target=_read, name="signals", daemon=True).start()
    for number in _heard():
        signal.signal(number, _handle)
    signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False)


def _heard() -> list[signal.Signals]:
    """Returns NUMBERS but for the end of the terminal, where nohup lets this process ignore it."""
    ignored = signal.SIG_IGN
    return [n for n in NUMBERS if n.name != "SIGHUP" or signal.getsignal(n) != ignored]


def _forget() -> None:
    """Makes a forked process end at a signal by itself, rather than tell this one of it."""
    signal.set_wakeup_fd(-1)
    for number in _heard():
        is_int = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if is_int else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
    _pipe.clear()


def listening() -> bool:
    """Whether this process does so."""
    return bool(_pipe)


def _handle(number: int, frame: FrameType | None) -> None:
    """Does nothing, unless an event loop has taken the pipe away, as asyncio's on Windows does."""
    if signal.set_wakeup_fd(_pipe[1], warn_on_full_buffer=False) != _pipe[1]:
        os.write(_pipe[1], bytes([number]))


def _read() -> None:
    while number := os.read(_pipe[0], 1):
        if number[0] in NUMBERS:
            (_takers[-1] if _takers else end)(number[0])


def end(number: int) -> None:
    """Ends this process at once, as a signal asks for; what it has not saved is lost."""
    with contextlib.suppress(OSError):
        os.write(2, _WORDS[signal.Signals(number).name])
    if "multiprocessing" in sys.modules:  # those that read data would wait for work for ever
        for child in sys.modules["multiprocessing"].active_children():
            child.kill()
    for clean in _cleaners:
        clean()
    os._exit(128 + number)


@contextlib.contextmanager
def before_end(clean: Callable[[], None]) -> Iterator[None]:
    """Within `with`, calls `clean` before a signal ends this process."""
    _cleaners.append(clean)
    try:
        yield
    finally:
        _cleaners.remove(clean)


@contextlib.contextmanager
def taken(taker: Callable[[int], None]) -> Iterator[None]:
    """Within `with`, calls `taker` with a signal's number, in another thread, instead of ending."""
    _takers.append(taker)
    try:
        yield
    finally:
        _takers.remove(taker)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within `with`, a signal raises KeyboardInterrupt, for what removes its files then.

    After that the process ends, though libraries have threads that are still at it.
    """
    if not listening() or threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    for number in _heard():
        signal.signal(number, interrupt)
    signal.set_wakeup_fd(-1)  # or the thread hears of it too, and ends this before
    try:
        yield
    finally:
        listen()
        if received:
            end(received[0])


class SignalWatch:
    """Within `with`, `received` becomes the number of the first signal.

    So that who trains can finish the compiled call in flight, save and leave. A second Ctrl-C ends
    the process, or raises KeyboardInterrupt where it is not a command's.
    """

    def __init__(self, say: Callable[[str], None] = print):
        self._say = say
        self.received = 0

    def __enter__(self) -> "SignalWatch":
        self._closing = contextlib.ExitStack()
        if listening():
            self._closing.enter_context(taken(self._receive))
        elif threading.current_thread() is threading.main_thread():
            for number in _heard():
                before = signal.signal(number, self._receive)
                self._closing.callback(signal.signal, number, before)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._closing.close()

    def _receive(self, number: int, frame: FrameType | None = None) -> None:
        del frame
        if self.received and number == signal.SIGINT:
            if listening():
                end(number)
            raise KeyboardInterrupt
        before, self.received = self.received, number
        if not before:
            with contextlib.suppress(OSError, UserError):  # nobody reads it, as of `| tee log`
                self._say("stopping: saving first (Ctrl-C again gives that up)")
