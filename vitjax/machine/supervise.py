"""A process that starts a command as another one, and says in one line how that was ended.

When one of several processes dies, JAX's runtime ends the others from a thread of its own, with
pages of text and before Python can say a word. So each is started by a process without JAX, which
passes on signals, standard error and the exit code, keeps those pages to itself, and says the last
words that it was given instead.
"""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from vitjax.machine import signals

LOST = 75  # exit code where another process was lost, or not all met: "try again" in sysexits.h

_CHILD = "VITJAX_SUPERVISED"
_MARK = b"\0"  # begins a line that holds last words
_SIGNS = (b"coordination_service", b"preemption_sync_manager", b"JAX distributed service")
_FATAL = b"Terminating process because the JAX distributed service"


def is_child() -> bool:
    """Whether `start` has started this process, and holds the other end of its pipe."""
    try:
        return _CHILD in os.environ and stat.S_ISFIFO(os.fstat(0).st_mode)
    except OSError:  # standard input is closed
        return False


def start(words: Sequence[str], stderr: int | None = None) -> "subprocess.Popen[bytes]":
    """Starts a command of vitjax's, which ends when this process has ended, however it did."""
    return subprocess.Popen(
        words,
        env=os.environ | {_CHILD: "1"},
        stdin=subprocess.PIPE,  # which it watches
        stderr=stderr,
        start_new_session=True,  # so that Ctrl-C comes once, from here
    )


def run() -> int:
    """Runs the command line of this process in another one; returns the exit code."""
    child = start([sys.executable, *sys.orig_argv[1:]], stderr=subprocess.PIPE)
    assert child.stderr is not None
    relay = Relay(child.stderr, sys.stderr.buffer)
    reader = threading.Thread(target=relay.pass_on, daemon=True)
    with signals.taken(child.send_signal):
        reader.start()
        code = child.wait()
        reader.join(2)  # processes that it has left behind may hold standard error open
    if relay.end():
        return LOST
    if code < 0 and -code not in signals.NUMBERS:
        name = signal.Signals(-code).name
        print(f"error: ended by {name}{' (out of memory?)' * (-code == 9)}", file=sys.stderr)
    return 128 - code if code < 0 else code


def begin_child() -> None:
    """Ends this process, which `start` has started, when the other one has ended."""
    watch = threading.Thread(target=_end_with_parent, daemon=True)
    watch.start()


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when no process has the other end any more
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def set_last_words(line: str) -> None:
    """Changes what is said when the runtime ends this process; {lost} is which one was lost."""
    if is_child():
        os.write(2, _MARK + line.encode() + b"\n")


class Relay:
    """Writes the lines of `source`, standard error of a process, to `sink`."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]):
        self._source, self._sink = source, sink
        self._last_words = b""
        self._held = b""  # what may be the runtime's end, until it is known

    def pass_on(self) -> None:
        """Reads until the process has ended."""
        for line in self._source:
            if line.startswith(_MARK):
                self._last_words = line[1:]
            elif self._held or any(sign in line for sign in _SIGNS):
                self._held += line
            else:
                self._write(line)

    def end(self) -> bool:
        """Returns whether the runtime ended the process, and has then said its last words."""
        lost = _FATAL in self._held
        self._write(self._last_words.replace(b"{lost}", _lost(self._held)) if lost else self._held)
        return lost

    def _write(self, text: bytes) -> None:
        self._sink.write(text)
        self._sink.flush()


def _lost(text: bytes) -> bytes:
    """Returns which process was lost, as the coordination service, in process 0, tells."""
    silent = re.search(rb"stopped sending heartbeats\):(.*?)The tasks", text, re.DOTALL)
    numbers = re.findall(rb"(\d+)\s*$", silent[1], re.MULTILINE) if silent else []
    if not numbers and b"the leader" in text:
        numbers = [b"0"]
    return b"process " + b", ".join(numbers) if numbers else b"another process"
