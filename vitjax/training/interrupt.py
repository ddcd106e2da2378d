"""SIGTERM and Ctrl-C: finish the compiled call in flight, save, leave."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class SignalWatch:
    """Within `with`, `received` becomes the number of the first SIGTERM or SIGINT.

    A second Ctrl-C raises KeyboardInterrupt as usual.
    """

    def __init__(self, say: Callable[[str], None] = print):
        self._say = say
        self.received = 0

    def __enter__(self) -> "SignalWatch":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self.received:
            self._say("stopping: saving first (Ctrl-C again gives that up)")
        self.received = number
