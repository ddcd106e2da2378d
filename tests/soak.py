"""Trains, sweeps, evaluates and predicts in one process, round after round: does anything grow?

python -m tests.soak --minutes=120 --output=soak.jsonl

Each round writes a line with what the process holds: memory, open files, threads, and the arrays,
programs and objects of vitjax that are still reachable. The exit code is 1 where one of them grows.
Linux alone tells the first three.

JAX keeps what it has traced until its caches are full, and the C library what was freed; both are
emptied first, so that what is left is what somebody has forgotten. glibc cannot give back the holes
between what is in use, of which it leaves some in each of its arenas, so that one must do here.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

import vitjax

_WARM_UP = 2  # rounds in which libraries are imported and caches filled
_COUNTS = ("files", "threads", "arrays", "programs", "objects")
# A leak shows in many rounds only. 0.4 MiB a round grow, of which most is what tensorstore 0.1.86
# forgets: what its to_json() returns, which Orbax calls for each array of a checkpoint.
_ROUNDS = 30
_MIB_A_ROUND = 1.5
_M_ARENA_MAX = -8  # as in glibc's malloc.h
OPTIONS = {
    "num_epochs": 2, "data.max_examples": 120, "data.batch_size": 32, "model.num_layers": 1,
    "model.hidden_dim": 16, "model.mlp_dim": 32, "model.patch_size": 4, "data.image_size": 8,
}  # fmt: skip


def quiet(line: str) -> None:
    """Says nothing."""


def work(folder: Path) -> None:
    """Does once what the process does all the time."""
    config = vitjax.get_config("vit_digits", **OPTIONS)
    run = vitjax.train(config, folder / "run", say=quiet)
    grid = {"optim.learning_rate": [1e-3, 1e-2]}
    best = vitjax.train_grid(config, grid, folder / "grid", say=quiet)[0]
    for each in (run, best):
        each.evaluate("valid")
        each.predict([np.zeros((8, 8), np.uint8)] * 3)


def measure() -> dict[str, float]:
    """Returns what this process holds: MiB in memory, and how many of what else."""
    jax.clear_caches()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "arrays": len(jax.live_arrays()),
        "programs": len(jax.devices()[0].client.live_executables()),
        "objects": sum(
            str(type(each).__module__).startswith("vitjax") for each in gc.get_objects()
        ),
    }


def grown(rounds: list[dict[str, float]]) -> list[str]:
    """Returns what more of there is in the last third of the rounds than in the third before.

    Memory counts from 30 rounds on, by its slope over the later two thirds.
    """
    later = rounds[_WARM_UP:]
    third = max(len(later) // 3, 1)
    found = []
    for name in _COUNTS:
        before = statistics.median(each[name] for each in later[-2 * third : -third])
        after = statistics.median(each[name] for each in later[-third:])
        if after > before * 1.05 + 1:
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    memory = [each["memory_mib"] for each in later[-2 * third :]]
    slope = np.polyfit(range(len(memory)), memory, 1)[0]
    if len(rounds) >= _ROUNDS and slope > _MIB_A_ROUND:
        found.append(f"memory_mib grew by {slope:.1f} a round")
    return found


def main() -> int:
    """Works for so many minutes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--output", type=Path, default=Path("soak.jsonl"))
    given = parser.parse_args()
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    rounds: list[dict[str, float]] = []
    until = time.monotonic() + 60 * given.minutes
    with given.output.open("w") as file:
        while time.monotonic() < until or len(rounds) < _WARM_UP + 3:
            with tempfile.TemporaryDirectory() as folder:
                work(Path(folder))
            rounds.append(measure())
            print(json.dumps(rounds[-1]), file=file, flush=True)
    problems = grown(rounds)
    print("\n".join(problems) or f"nothing has grown in {len(rounds)} rounds")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
