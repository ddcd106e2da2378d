"""Looks over a run before it begins: all problems of its config at once, and what it will take.

python -m vitjax.check --config=configs/vit_digits.py
python -m vitjax.check --config=configs/vit_base_cifar100.py --target=v5e:2x4

Reads no data. With --target the run's programs are compiled for chips that need not be there: do
they fit into memory, and how fast can a step be at best? That takes a minute or two and the extra
[tpu] or [cuda]. The exit code is 1 where there are problems.
"""

import sys
from collections.abc import Sequence

from vitjax import cli


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, default_config="configs/vit_digits.py")
    target = command.string("target", "", "Chips to compile for, as v5e, v5e:2x4, h200x8, t4.")

    def main() -> int:
        from vitjax.targets import forecast

        return 1 if forecast.check(command.config, target.value) else 0

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
