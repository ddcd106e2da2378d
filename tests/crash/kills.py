"""Runs that are killed at random moments, and resumed until they end, beside ones that are not."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from commands import REPO, command, environment, free_port, newest_params, results

Say = Callable[[str], None]

_SMALL = (
    "--config=configs/vit_digits.py:debug",
    "--config.num_epochs=6",
    "--config.steps_per_call=1",
)
_SECONDS = 300  # within which a process ends


class Case(NamedTuple):
    """A command that is killed."""

    module: str
    words: tuple[str, ...]
    num_processes: int = 1

    def start(self, workdir: Path) -> list[subprocess.Popen[str]]:
        """Starts its processes, each the first of a session of its own."""
        words = command(*self.words, f"--workdir={workdir}", module=self.module)
        if self.num_processes > 1:
            port = free_port()
            words += [f"--coordinator=localhost:{port}", f"--num_processes={self.num_processes}"]
        return [
            subprocess.Popen(
                [*words, f"--process_id={i}"] if self.num_processes > 1 else words,
                env=environment(JAX_NUM_CPU_DEVICES="1"),
                cwd=REPO,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            for i in range(self.num_processes)
        ]

    def runs(self, workdir: Path) -> list[Path]:
        """Returns the folders of its runs."""
        runs = workdir / "runs"
        return sorted(runs.iterdir()) if runs.exists() else [workdir]


CASES = {
    "run": Case("vitjax.main", _SMALL),
    "stream": Case("vitjax.main", (*_SMALL, "--config.data.stream=always")),
    "sweep": Case("vitjax.sweep", (*_SMALL, "--grid=seed=0,1", "--halve=3")),
    "distributed": Case("vitjax.main", _SMALL, num_processes=2),
}


def uninterrupted(case: Case, workdir: Path) -> float:
    """Runs a case to its end; returns the seconds that it takes once its programs are compiled."""
    for folder in (workdir.with_name(f"{workdir.name}-first"), workdir):
        started = time.monotonic()
        _finish(case.start(folder))
    return time.monotonic() - started


def kill_and_resume(
    case: Case, workdir: Path, seconds: float, num_kills: int, chance: random.Random, say: Say
) -> int:
    """Kills a case at random moments, `num_kills` times at most; returns how often, when it ended.

    Half of the moments lie anywhere in the `seconds` that it takes, half of them soon after some
    changes of its files, which is when others are to follow.
    """
    for number in range(num_kills):
        processes = case.start(workdir)
        if chance.random() < 0.5:
            moment = chance.uniform(0, seconds)
        else:
            for _ in range(chance.randint(1, 15)):
                _wait_for_change(workdir, processes)
            moment = chance.uniform(0, 0.1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            processes[0].wait(moment)
        codes = [process.poll() for process in processes]
        if any(code is not None for code in codes):  # it has ended, or is about to
            _finish(processes)
            return number
        _kill(processes)
        say(f"kill {number + 1} left {_state(case, workdir)}")
    _finish(case.start(workdir))
    return num_kills


def assert_equal(case: Case, found: Path, expected: Path) -> None:
    """Raises AssertionError unless all results are the same, bit for bit."""
    pairs = zip(case.runs(found), case.runs(expected), strict=True)
    for ours, theirs in pairs:
        assert ours.name == theirs.name or len(case.runs(found)) == 1
        assert results(ours) == results(theirs)
        assert _evaluation(ours) == _evaluation(theirs)
        jax.tree.map(np.testing.assert_array_equal, newest_params(ours), newest_params(theirs))


def _evaluation(workdir: Path) -> dict[str, object] | None:
    file = workdir / "eval.json"
    if not file.exists():  # of a member that was dropped
        return None
    return {k: v for k, v in json.loads(file.read_text()).items() if k not in ("seconds", "sha256")}


def _state(case: Case, workdir: Path) -> str:
    """Returns what a killed case has left, in words."""
    return "; ".join(", ".join(_left(run)) or "nothing" for run in case.runs(workdir))


def _left(run: Path) -> Iterator[str]:
    file, checkpoints = run / "metrics.jsonl", run / "checkpoints"
    if file.exists():
        yield f"{file.read_text().count(chr(10))} epochs"
    if checkpoints.exists():
        yield f"checkpoints {' '.join(sorted(path.name for path in checkpoints.iterdir()))}"


def _wait_for_change(workdir: Path, processes: list[subprocess.Popen[str]]) -> None:
    """Returns when a file in the folder has changed, or a process has ended."""
    before, until = _files(workdir), time.monotonic() + _SECONDS
    while _files(workdir) == before and time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            return
        time.sleep(0.01)


def _files(workdir: Path) -> list[tuple[str, int]]:
    found = []
    for folder, _, names in os.walk(workdir):  # which forgives what is gone by now
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(OSError):
                found.append((str(path), path.stat().st_mtime_ns))
    return sorted(found)


def _kill(processes: list[subprocess.Popen[str]]) -> None:
    """Ends processes at once, as a power cut does, with what they have started."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for process in processes:  # its output ends when what it has started has ended too
        process.communicate(timeout=_SECONDS)


def _finish(processes: list[subprocess.Popen[str]]) -> None:
    outputs = _outputs(processes)
    assert [process.returncode for process in processes] == [0] * len(processes), outputs


def _outputs(processes: list[subprocess.Popen[str]]) -> list[str]:
    try:
        return [process.communicate(timeout=_SECONDS)[0] for process in processes]
    finally:
        _kill(processes)
