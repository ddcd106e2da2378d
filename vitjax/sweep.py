"""Trains a grid of runs, those that fit together as one program, and compares them.

python -m vitjax.sweep --config=configs/vit_light.py --workdir=runs/light \
    --grid="optim.learning_rate=1e-3,1e-2;seed=0,1,2"

Without --grid the config's own sweep() says what to run. The same command on the same --workdir
resumes. Each member becomes a run folder in WORKDIR/runs, the best also WORKDIR/best. --distributed
shares the members among the processes of a cluster.
"""

import sys
import time
from collections.abc import Sequence

from vitjax import cli
from vitjax.errors import UserError


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, default_config="configs/vit_digits.py")
    command.section("Where")
    workdir = command.path("workdir", None, "Folder of the sweep; default: a new one in runs/.")
    command.section("What")
    grid = command.string("grid", "", 'Values of options: "KEY=V1,V2;KEY=V1,V2", all combined.')
    name = command.string("sweep", "", "Which of the config's sweeps; default: its first.")
    halve = command.texts("halve", "Epochs after which the worse half is dropped, as 2,4.")
    command.section("Machine")
    memory = command.number("memory_gib", 0.0, "Of each device, for members; 0: what it has.")
    join = command.group()

    def main() -> int:
        if grid.value and name.value:
            raise UserError("--grid and --sweep given, expected one of them; leave one out")
        epochs = _epochs(halve.value)
        import vitjax
        from vitjax import config_file
        from vitjax.machine import processes
        from vitjax.training.placement.sharding import device_per_core

        source = str(command.config_file)
        members = grid.value or config_file.load_sweep(source, name.value)
        device_per_core()
        join()
        new = f"runs/{command.config_file.stem}-sweep-{time.strftime('%Y%m%d-%H%M%S')}"
        runs = vitjax.train_grid(
            command.config,
            members,
            workdir.value or processes.of_first(new),
            halve=epochs,
            memory_gib=memory.value,
            words=command.argv,
        )
        if processes.is_first():
            print(f"{runs.table()}\n{runs.files()}")
        return 0

    return command.run(main, argv)


def _epochs(words: Sequence[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise UserError(f"--halve={','.join(words)} should be epochs, as 2,4") from error


if __name__ == "__main__":
    sys.exit(run())
