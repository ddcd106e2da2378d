"""How long a user waits for the default run's first epoch, from the command on."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vitjax.benchmarking.measure import summary

_COMMAND = (sys.executable, "-m", "vitjax.main", "--config.num_epochs=1")
_LIMIT = 300  # seconds


def start(rounds: int) -> dict[str, Any]:
    """Returns the seconds from the command to the end of its first epoch of 40 steps.

    `cold` is with nothing compiled before, `cached` with the programs of a run before it.
    """
    seconds: dict[str, list[float]] = {"cold": [], "cached": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, found in seconds.items():
                found.append(_first_epoch(Path(folder), name))
    return {name: summary(found) for name, found in seconds.items()}


def _first_epoch(folder: Path, name: str) -> float:
    """Runs the command; programs are kept in `folder`. Raises RuntimeError where it fails."""
    line = folder / name / "metrics.jsonl"
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [*_COMMAND, f"--workdir={line.parent}"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not line.exists() and time.perf_counter() < began + _LIMIT:
        time.sleep(0.01)
    took = time.perf_counter() - began
    if not line.exists():
        process.kill()
    _, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(_COMMAND[1:])} failed: {error[-500:]}")
    return took
