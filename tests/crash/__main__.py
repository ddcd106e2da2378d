"""Kills runs, sweeps, streamed runs and runs of two processes, and compares what they end as.

python -m tests.crash --kills=100 [--cases=run,sweep,stream,distributed] [--seed=0] [--log=FILE]

Each is killed at random moments and resumed until it has ended, again and again, and must end bit
for bit as one that nobody killed. The log says when, and what each kill left.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # as pytest does

from kills import CASES, Case, Say, assert_equal, kill_and_resume, uninterrupted  # noqa: E402

_MOST_KILLS = 8  # of one folder


def main() -> int:
    """Runs the cases; returns the exit code."""
    parser = argparse.ArgumentParser("python -m tests.crash", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=100, help="over all cases")
    parser.add_argument("--cases", default=",".join(CASES), help="which, with commas between")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--log", default="crash.log", help="file to write")
    given = parser.parse_args()
    names = given.cases.split(",")
    with Path(given.log).open("w") as log:

        def say(text: str) -> None:
            print(text, flush=True)
            print(text, file=log, flush=True)

        for place, name in enumerate(names):
            share = given.kills * (place + 1) // len(names) - given.kills * place // len(names)
            _crash(name, CASES[name], share, random.Random(f"{given.seed} {name}"), say)
        say(f"{given.kills} kills, every run as without them")
    return 0


def _crash(name: str, case: Case, num_kills: int, chance: random.Random, say: Say) -> None:
    """Kills a case so often, in as many folders as that takes."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        seconds = uninterrupted(case, whole)
        say(f"{name}: {seconds:.1f} s without a kill")
        number = 0
        while num_kills > 0:
            number += 1
            killed = Path(folder) / f"{name}-{number}"
            most = min(num_kills, _MOST_KILLS)
            say(f"{killed.name}:")
            count = kill_and_resume(case, killed, seconds, most, chance, say)
            assert_equal(case, killed, whole)
            say(f"ended as without its {count} kills")
            num_kills -= count


if __name__ == "__main__":
    sys.exit(main())
