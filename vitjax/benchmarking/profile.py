"""Where the time of a compiled step goes."""

import collections
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

# "%name = type operation(...), ..., metadata={op_name="scope/primitive"": one line of a program.
_OPERATION = re.compile(r"^\s*(?:ROOT )?%([\w.-]+) = (.*)$", re.MULTILINE)
_PRODUCT = re.compile(r" (?:dot|convolution)\(|/(?:dot_general|conv_general_dilated)\"")


def share_in_products(compiled: Any, run: Callable[[], Any]) -> float | None:
    """Returns the share of `run()`, in [0, 1], that matrix products of `compiled` take.

    Of the time in all operations of the program, as JAX's profiler sees them. None except on a CPU,
    where events are called after operations.
    """
    if jax.default_backend() != "cpu":
        return None
    operations = dict(_OPERATION.findall(compiled.as_text()))
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        seconds = _seconds_by_event(Path(folder))
    known = {name: seconds[name] for name in operations.keys() & seconds.keys()}
    loops = ("while", "conditional", "call")  # hold the others
    inner = {name: s for name, s in known.items() if not name.startswith(loops)}
    products = sum(s for name, s in inner.items() if _PRODUCT.search(operations[name]))
    return products / sum(inner.values())


def _seconds_by_event(folder: Path) -> dict[str, float]:
    """Returns how long the events of each name took together, of the trace in `folder`."""
    (file,) = folder.rglob("*.xplane.pb")
    seconds: dict[str, float] = collections.defaultdict(float)
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        for line in plane.lines:
            for event in line.events:
                seconds[event.name] += event.duration_ns / 1e9
    return seconds
