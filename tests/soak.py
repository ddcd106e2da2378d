"""Trains, sweeps, evaluates and predicts in one process, round after round: does anything grow?

python -m tests.soak --minutes=120 --output=soak.jsonl

Each round writes a line with the memory, the open files and the threads of the process. The exit
code is 1 where one of them has grown. Linux alone tells them.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import vitjax

_WARM_UP = 2  # rounds in which libraries are imported and caches filled
_ALLOWED = {"memory_mib": 0.10, "files": 0.05, "threads": 0.05}  # growth over the later half
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
    """Returns what this process holds: MiB in memory, open files, threads."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "memory_mib": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def grown(rounds: list[dict[str, float]]) -> list[str]:
    """Returns what is larger in the last third of the rounds than in the third before."""
    later = rounds[_WARM_UP:]
    third = max(len(later) // 3, 1)
    found = []
    for name, allowed in _ALLOWED.items():
        before = statistics.median(each[name] for each in later[-2 * third : -third])
        after = statistics.median(each[name] for each in later[-third:])
        if after > before * (1 + allowed) + (name != "memory_mib"):
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    return found


def main() -> int:
    """Works for so many minutes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--output", type=Path, default=Path("soak.jsonl"))
    given = parser.parse_args()
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
