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

from vitjax import cli
from vitjax.compile_cache import use_compile_cache
from vitjax.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, default_config="configs/vit_digits.py")
    workdir = command.string("workdir", None, "Folder of the sweep; default: a new one in runs/.")
    grid = command.string("grid", "", 'Values of options: "KEY=V1,V2;KEY=V1,V2", all combined.')
    name = command.string("sweep", "", "Which of the config's sweeps; default: its first.")
    halve = command.texts("halve", "Epochs after which the worse half is dropped, as 2,4.")
    memory = command.number("memory_gib", 0.0, "Of each device, for members; 0: what it has.")
    coordinator = command.string("coordinator", None, "HOST:PORT of process 0, for several.")
    processes = command.integer("num_processes", None, "How many processes share the sweep.")
    process = command.integer("process_id", None, "Which of them this one is, from 0.")

    def main() -> int:
        from vitjax import config_file

        if grid.value and name.value:
            raise UserError("--grid and --sweep given, expected one of them; leave one out")
        overrides = (
            None if grid.value else config_file.load_sweep(str(command.config_file), name.value)
        )
        epochs = _epochs(halve.value)
        _use_devices(coordinator.value, processes.value, process.value)
        from vitjax.sweeps.grid import train_grid
        from vitjax.sweeps.plan import parse_grid

        config = command.config
        stem = command.config_file.stem
        folder = workdir.value or f"runs/{stem}-sweep-{time.strftime('%Y%m%d-%H%M%S')}"
        ranked = train_grid(
            config,
            parse_grid(grid.value, config) if overrides is None else overrides,
            folder,
            halve=epochs,
            max_bytes=int(memory.value * 2**30),
            words=command.argv,
            published=_published,
            say=functools.partial(print, flush=True),
        )
        _show(ranked, config.select_by, folder)
        return 0

    return command.run(main, argv)


def _epochs(words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise UserError(f"--halve={','.join(words)} should be epochs, as 2,4") from error


def _use_devices(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Joins the other processes, if any."""
    use_compile_cache()
    import jax

    from vitjax.training.sharding import device_per_core

    device_per_core()
    if coordinator:
        jax.distributed.initialize(coordinator, num_processes, process_id)


def _show(ranked: list[dict[str, Any]], select_by: str, workdir: str) -> None:
    """Prints the table and draws the pictures, from the first process."""
    import jax

    from vitjax.sweeps.ranking import table

    if jax.process_index() == 0:
        print(table(ranked, select_by))
        files = ["runs/", "best", "sweep.json", "sweep.csv", *_draw(ranked, Path(workdir))]
        print(f"{', '.join(files[:-1])} and {files[-1]} lie in {workdir}")


def _draw(ranked: list[dict[str, Any]], workdir: Path) -> list[str]:
    """Writes the pictures; returns their names."""
    from vitjax.config import flatten
    from vitjax.reporting.drawing import write_png
    from vitjax.reporting.sweep_figures import MemberResult, sweep_pictures
    from vitjax.runs.run_folder import RunFolder
    from vitjax.sweeps.ranking import without_seed

    keys = dict.fromkeys(key for entry in ranked for key in entry["overrides"])
    members = []
    for entry, group in zip(ranked, without_seed(ranked), strict=True):
        folder = RunFolder(workdir / "runs" / entry["name"])
        options = flatten(folder.read("config.json", "config")["config"])
        member = MemberResult(
            combination=group,
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
    from vitjax.published.matching import row_of

    row = row_of(to_json(config))
    percent = row.accuracies.get("test_acc") if row else None
    return None if percent is None else percent / 100


if __name__ == "__main__":
    sys.exit(run())
