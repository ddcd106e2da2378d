"""Where the time of a compiled step goes."""

import collections
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from vitjax.machine.temporary import temporary_folder

# "%name = type operation(...), ..., metadata={op_name="scope/primitive"": one line of a program.
_OPERATION = re.compile(r"^\s*(?:ROOT )?%([\w.-]+) = (.*)$", re.MULTILINE)
_PRODUCT = re.compile(r" (?:dot|convolution)\(|/(?:dot_general|conv_general_dilated)\"")


def share_outside_products(compiled: Any, run: Callable[[], float]) -> float | None:
    """Returns the share of the seconds of `run()`, that it returns, outside matrix products.

    That is what all other operations of `compiled` take, as JAX's profiler sees them. Products
    themselves go on in other threads when their events have ended. None except on a CPU, where
    events are called after operations.
    """
    if jax.default_backend() != "cpu":
        return None
    operations = dict(_OPERATION.findall(compiled.as_text()))
    with temporary_folder() as folder:
        with jax.profiler.trace(folder):
            seconds = run()
        events = _seconds_by_event(folder)
    loops = ("while", "conditional", "call")  # hold the others
    outside = sum(
        events[name]
        for name in operations.keys() & events.keys()
        if not name.startswith(loops) and not _PRODUCT.search(operations[name])
    )
    return outside / seconds / jax.local_device_count()


def _seconds_by_event(folder: Path) -> dict[str, float]:
    """Returns how long the events of each name took together, of the trace in `folder`."""
    (file,) = folder.rglob("*.xplane.pb")
    seconds: dict[str, float] = collections.defaultdict(float)
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        for line in plane.lines:
            for event in line.events:
                seconds[event.name] += event.duration_ns / 1e9
    return seconds
