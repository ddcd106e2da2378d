"""Trains a grid of runs, those that fit together as one program, and compares them.

python -m vitjax.sweep --config=configs/vit_light.py --workdir=runs/light \
    --grid="optim.learning_rate=1e-3,1e-2;seed=0,1,2"

Without --grid the config's own sweep() says what to run. The same command on the same --workdir
resumes. Each member becomes a run folder in WORKDIR/runs, the best also WORKDIR/best.
"""

import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from vitjax import cli

if TYPE_CHECKING:
    from ml_collections import ConfigDict

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the sweep; default: a new one in runs/.")
GRID = flags.DEFINE_string("grid", "", 'Values of options: "KEY=V1,V2;KEY=V1,V2", all combined.')
SWEEP = flags.DEFINE_string("sweep", "", "Which of the config's sweeps; default: its first.")
HALVE = flags.DEFINE_list("halve", [], "Epochs after which the worse half is dropped, as 2,4.")
MEMORY = flags.DEFINE_float("memory_gib", 0.0, "Of each device, for members; 0: what it has.")
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, for several.")
PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes share the sweep.")
PROCESS = flags.DEFINE_integer("process_id", None, "Which of them this one is, from 0.")


def main(config: "ConfigDict", config_file: Path) -> None:
    """Runs the command."""
    if GRID.value and SWEEP.value:
        raise ValueError("--grid and --sweep given, expected one of them; leave one out")
    overrides = None if GRID.value else cli.load_sweep(str(config_file), SWEEP.value)
    halve = _epochs(HALVE.value)
    _use_devices()
    from vitjax.pretrained.load import load_weights
    from vitjax.training.interrupt import Interrupted
    from vitjax.training.members import parse_grid
    from vitjax.training.sweep import run_sweep

    workdir = WORKDIR.value or f"runs/{config_file.stem}-sweep-{time.strftime('%Y%m%d-%H%M%S')}"
    load = functools.partial(load_weights, allow_pickle=config.finetune.allow_pickle)
    try:
        ranked = run_sweep(
            config,
            parse_grid(GRID.value, config) if overrides is None else overrides,
            workdir,
            halve=halve,
            max_bytes=int(MEMORY.value * 2**30),
            words=sys.argv[1:],
            load_weights=load,
            published=_published,
            say=functools.partial(print, flush=True),
        )
    except Interrupted as error:
        print(f"{error}; go on with the same options and --workdir={workdir}", file=sys.stderr)
        sys.exit(128 + error.signal_number)
    _show(ranked, config.select_by, workdir)


def _epochs(words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise ValueError(f"--halve={','.join(words)} should be epochs, as 2,4") from error


def _use_devices() -> None:
    """Joins the other processes, if any."""
    cli.use_compile_cache()
    import jax

    from vitjax.training.sharding import device_per_core

    device_per_core()
    if COORDINATOR.value:
        jax.distributed.initialize(COORDINATOR.value, PROCESSES.value, PROCESS.value)


def _show(ranked: list[dict[str, Any]], select_by: str, workdir: str) -> None:
    """Prints the table and draws the pictures, from the first process."""
    import jax

    from vitjax.training.ranking import table

    if jax.process_index() == 0:
        print(table(ranked, select_by))
        files = ["runs/", "best", "sweep.json", "sweep.csv", *_draw(ranked, Path(workdir))]
        print(f"{', '.join(files[:-1])} and {files[-1]} lie in {workdir}")


def _draw(ranked: list[dict[str, Any]], workdir: Path) -> list[str]:
    """Writes the pictures; returns their names."""
    from vitjax.reporting.figures import write_png
    from vitjax.reporting.sweep_figures import Member, sweep_pictures
    from vitjax.training.ranking import without_seed
    from vitjax.training.run_folder import RunFolder, flatten

    keys = dict.fromkeys(key for entry in ranked for key in entry["overrides"])
    members = []
    for entry, group in zip(ranked, without_seed(ranked), strict=True):
        folder = RunFolder(workdir / "runs" / entry["name"])
        options = flatten(folder.read("config.json", "config")["config"])
        member = Member(
            group=group,
            options={key: options.get(key) for key in keys},
            status=entry["status"],
            lines=folder.metrics(),
            valid_accuracy=entry.get("valid_accuracy"),
            accuracy=entry.get("accuracy"),
        )
        members.append(member)
    pictures = sweep_pictures(members)
    for picture in pictures:
        write_png(workdir / f"{picture.name}.png", picture.figure)
    return [f"{picture.name}.png" for picture in pictures]


def _published(config: "ConfigDict") -> float | None:
    """Returns the accuracy on test, in [0, 1], that is published for a run of this config."""
    from vitjax.config import to_json
    from vitjax.published.record import row_of

    row = row_of(to_json(config))
    percent = row.accuracies.get("test_acc") if row else None
    return None if percent is None else percent / 100


if __name__ == "__main__":
    cli.run_with_config(main, default_config="configs/vit_digits.py")
