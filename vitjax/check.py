"""Looks over a run before it begins: all problems of its config at once, and what it will take.

python -m vitjax.check --config=configs/vit_digits.py
python -m vitjax.check --config=configs/vit_base_cifar100.py --target=v5e:2x4
python -m vitjax.check --config=configs/vit_digits.py --data --html=data.html

Reads no data, unless --data asks to read all of it once: what is damaged, what is there twice or
under two labels, how large images are and of what kind. With --target the run's programs are
compiled for chips that need not be there: do they fit into memory, and how fast can a step be at
best? That takes a minute or two and the extra [tpu] or [cuda]. The exit code is 1 where there are
problems.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from vitjax import cli
from vitjax.errors import UserError


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, default_config="configs/vit_digits.py")
    command.section("Machine")
    target = command.string("target", "", "Chips to compile for, as v5e, v5e:2x4, h200x8, t4.")
    command.section("What")
    data = command.switch("data", "Reads all images once, and tells what is wrong with them.")
    command.section("Output")
    json_file = command.path("json", None, "File for what --data finds, every image of it.")
    html_file = command.path("html", None, "File for what --data finds, as a page.")

    def main() -> int:
        from vitjax import data_check
        from vitjax.targets import forecast

        as_json, as_html = (
            Path(value) if value else None for value in (json_file.value, html_file.value)
        )
        if (as_json or as_html) and not data.value:
            raise UserError("--json and --html are for what --data finds; add --data")
        is_good = not forecast.check(command.config, target.value)
        if data.value:
            is_good = data_check.check_data(command.config, as_json, as_html) and is_good
        return 0 if is_good else 1

    return command.run(main, argv)


if __name__ == "__main__":
    sys.exit(run())
