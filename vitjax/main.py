"""Trains a classifier, or goes on training it, and evaluates it.

python -m vitjax.main --config=configs/vit_cifar100.py --workdir=runs/cifar --config.seed=1

The same command on the same --workdir resumes the run. --distributed shares it among the processes
of a cluster. VITJAX_TRACEBACK=1 shows tracebacks.
"""

import shlex
import sys
import time
from collections.abc import Sequence

from vitjax import cli


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, default_config="configs/vit_digits.py")
    command.section("Where")
    workdir = command.path("workdir", None, "Folder of the run; default: a new one in runs/.")
    join = command.group()

    def main() -> int:
        import vitjax
        from vitjax.machine import processes

        join()
        new = f"runs/{command.config_file.stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        words = shlex.join(["python", "-m", "vitjax.main", *command.argv])
        vitjax.train(command.config, workdir.value or processes.of_first(new), command=words)
        return 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
