"""How long a user waits for the default run's first step and first epoch, from the command on."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from vitjax.benchmarking.measure import summary
from vitjax.machine.temporary import temporary_folder

COMMAND = (sys.executable, "-m", "vitjax.main", "--config.num_epochs=1")
_SAID = {"first_step": "compiling (", "first_epoch": "epoch 1/1"}  # when a run begins and ends them


def measure_start(rounds: int) -> dict[str, Any]:
    """Returns the seconds from the command to its first step, and to the end of its first epoch.

    `cold` is with nothing compiled before, `cached` with the programs of the run before it.
    """
    seconds: dict[str, list[dict[str, float]]] = {"cold": [], "cached": []}
    for _ in range(rounds):
        with temporary_folder() as folder:
            for name, found in seconds.items():
                found.append(_run(folder, name))
    return {
        name: {event: summary([each[event] for each in found]) for event in _SAID}
        for name, found in seconds.items()
    }


def _run(folder: Path, name: str) -> dict[str, float]:
    """Runs the command; programs are kept in `folder`. Raises RuntimeError where it fails."""
    began, seconds = time.perf_counter(), {}
    with subprocess.Popen(
        [*COMMAND, f"--workdir={folder / name}"],
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            for event, words in _SAID.items():
                if line.startswith(words):
                    seconds[event] = time.perf_counter() - began
    if process.returncode or len(seconds) < len(_SAID):
        raise RuntimeError(f"{' '.join(COMMAND[1:])} failed: {''.join(lines)[-500:]}")
    return seconds
