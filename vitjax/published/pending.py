"""What is not measured yet, what it would take on this machine, and a way to work through it."""

import dataclasses
import json
import math
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vitjax import config_file, text
from vitjax.errors import UserError
from vitjax.machine import signals, supervise
from vitjax.published import ledger, rebuild, recipes
from vitjax.published.ledger import Row
from vitjax.training.ahead.outline import outline

_RESULTS = Path(__file__).parents[1] / "benchmarking" / "results"
_RECORDED = {"cpu": "seeds_cpu.json", "gpu": "gpu_h200.json", "tpu": "tpu_v5e.json"}


class Speed(NamedTuple):
    """What a recorded benchmark says of one network."""

    macs: int  # multiply-accumulates of one image
    seconds: float  # of one of them, when all of it trains
    bytes: float  # of a device's memory, for each multiply-accumulate of a batch


@dataclasses.dataclass(frozen=True)
class Task:
    """A row or a recipe that was not measured."""

    row: Row
    config: str  # FILE:ARG of --config
    seeds: tuple[int, ...]
    seconds: float  # that it is expected to take
    bytes: float  # of memory that it is expected to take

    @property
    def name(self) -> str:
        """Says which it is, as a folder may be called."""
        return recipes.file_name(self.config)

    def command(self, folder: str, data_dir: str) -> list[str]:
        """Returns the words that measure it; the same ones go on with it."""
        return [
            "vitjax.sweep",
            f"--config={self.config}",
            f"--grid=seed={','.join(map(str, self.seeds))}",
            f"--workdir={folder}/{self.name}",
            *([f"--config.data.data_dir={data_dir}"] if data_dir else []),
        ]


def speeds(platform: str) -> list[Speed]:
    """Returns what was recorded of a platform: measured on a CPU, bounds of GPUs and TPUs."""
    recorded = json.loads((_RESULTS / _RECORDED[platform]).read_text())
    if platform == "cpu":
        return [
            Speed(
                case["macs"],
                case["step_seconds"]["median"] / (case["batch_size"] * case["macs"]),
                case["peak_bytes"]["predicted"] / (case["batch_size"] * case["macs"]),
            )
            for case in recorded["results"].values()
        ]
    measured = json.loads((_RESULTS / _RECORDED["cpu"]).read_text())["results"]
    return [
        Speed(
            macs := measured[case["name"]]["macs"],
            case["stages"]["epoch"]["bound_seconds"] / (case["batch_size"] * macs),
            case["stages"]["epoch"]["peak_bytes"] / (case["batch_size"] * macs),
        )
        for case in recorded["cases"]
        if case["name"] in measured
    ]


def tasks(rows: Sequence[Row], platform: str, seeds: Sequence[int]) -> list[Task]:
    """Returns what was not measured of the rows and their recipes, cheapest first."""
    known = speeds(platform)
    found: dict[str, Task] = {}
    for row, config in _unmeasured(rows):
        found.setdefault(config, _task(row, config, known, tuple(seeds)))
    return sorted(found.values(), key=lambda task: task.seconds)


def _unmeasured(rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    for row in rows:
        if row.config is not None and ledger.measured(row) is None:
            yield row, row.config
        for recipe in recipes.recipes_of(row):
            if recipes.measured(recipe) is None:
                yield row, recipe.config


def _task(row: Row, config: str, known: list[Speed], seeds: tuple[int, ...]) -> Task:
    counts = rebuild.build(row)
    assert counts is not None
    options = config_file.load_config(config)
    near = _between(known, counts.macs)
    data = outline(options.data)
    assert data is not None
    images = len(seeds) * options.num_epochs * data.counts["train"]
    seconds = near.seconds * counts.training_macs / rebuild.LEARNT_PASSES * images
    return Task(row, config, seeds, seconds, near.bytes * counts.macs * options.data.batch_size)


def _between(known: Sequence[Speed], macs: int) -> Speed:
    """Returns the speed of a network between those of the next smaller and larger ones."""
    known = sorted(known)
    size, sizes = math.log(macs), [math.log(speed.macs) for speed in known]
    seconds, size_in_memory = (
        math.exp(np.interp(size, sizes, [math.log(speed[i]) for speed in known])) for i in (1, 2)
    )
    return Speed(macs, seconds, size_in_memory)


def table(pending: Sequence[Task], platform: str, folder: str, data_dir: str) -> str:
    """Returns a table of the tasks, and the commands that measure them."""
    if not pending:
        return "nothing is pending"
    how = "expected" if platform == "cpu" else "at least"
    rows: list[tuple[str, ...]] = [("seed", "config", "epochs", "seeds", how, "GiB")]
    for task in pending:
        epochs = config_file.load_config(task.config).num_epochs
        cells = (task.row.seed, task.config, epochs, len(task.seeds), duration(task.seconds))
        rows.append((*map(str, cells), f"{task.bytes / 2**30:.2g}"))
    commands = (shlex.join(["python", "-m", *t.command(folder, data_dir)]) for t in pending)
    return "\n".join([text.table(rows, left=(0, 1)), "", *commands])


def duration(seconds: float) -> str:
    """Returns a time in the largest unit of which it has two."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def parse_budget(budget: str) -> float:
    """Returns the seconds of 90s, 25m or 3h; raises UserError otherwise."""
    sizes = {"s": 1, "m": 60, "h": 3600}
    try:
        seconds = float(budget[:-1]) * sizes[budget[-1:]]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise UserError(f"--budget={budget} given, expected a time such as 90s, 25m or 3h")
    return seconds


def work(
    pending: Sequence[Task],
    budget: float,
    folder: str,
    data_dir: str,
    record: Callable[[str], Sequence[Path]],
    say: Callable[[str], None] = print,
) -> int:
    """Measures tasks one after another for `budget` seconds; returns an exit code.

    Each that ends is recorded. The one that the budget does not let end is saved, and the next call
    goes on with it. A task that fails is left, and the exit code is 1.
    """
    until, failed = time.monotonic() + budget, False
    for task in pending:
        workdir, left = f"{folder}/{task.name}", until - time.monotonic()
        if left <= 0:
            say("the budget is spent")
            break
        say(f"{task.config}: about {duration(task.seconds)} if it is new; {duration(left)} left")
        code = _run([sys.executable, "-m", *task.command(folder, data_dir)], left)
        if code is None:
            say(f"the budget is spent: {task.config} is saved in {workdir}, for the same command")
            break
        if code in [128 + number for number in signals.NUMBERS]:
            return code
        if -code in signals.NUMBERS:  # it came before the command has listened
            return 128 - code
        failed |= bool(code)
        if not code:
            try:
                say(f"recorded {', '.join(map(str, record(workdir)))}")
            except UserError as error:  # all diverged, say
                say(f"not recorded: {error}")
                failed = True
    return int(failed)


def _run(words: list[str], seconds: float) -> int | None:
    """Runs a command; returns its exit code, or None where the time was up and it has saved.

    After a signal it is that of the signal, though the command may have ended just before.
    """
    child, heard = supervise.start(words), []

    def pass_on(number: int) -> None:
        heard.append(number)
        child.send_signal(number)

    with signals.taken(pass_on):
        try:
            code: int | None = child.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            child.terminate()
            child.wait()
            code = None
    return 128 + heard[0] if heard else code
