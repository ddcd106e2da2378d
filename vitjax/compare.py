"""Compares runs on the same test examples: is one better, by how much, and where.

python -m vitjax.compare runs/a runs/b [runs/c ...] [--figure=comparison.png]
python -m vitjax.compare runs/a0,runs/a1,runs/a2 runs/b0,runs/b1,runs/b2
python -m vitjax.compare runs/a runs/b --metadata=galaxies.csv --column=magnitude

Each side is a run, or several seeds of it behind commas; the first is what the others are compared
with. Runs not evaluated yet are evaluated first. --metadata is a CSV whose column id or path, or
the one that --key names, calls examples as predictions.npz does: a galaxy by its galaxyID. Numbers
are cut into five groups.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vitjax import cli
from vitjax.errors import UserError


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, takes_words=True)
    command.section("Data")
    metadata = command.path("metadata", None, "CSV file on the examples.")
    column = command.string("column", None, "Column of it to compare by.")
    key = command.string("key", "", "Column of it that names the examples; default: id or path.")
    command.section("Output")
    figure = command.png("figure", "PNG file to draw the groups to.")

    def main() -> int:
        if (metadata.value is None) != (column.value is None):
            raise UserError("--metadata and --column belong together; give both")
        from vitjax.compile_cache import use_compile_cache
        from vitjax.inference.compare_runs import Column, compare_sides
        from vitjax.reporting.comparison import comparison_picture, side_line

        use_compile_cache()
        by = Column(Path(metadata.value), column.value, key.value) if metadata.value else None
        found = compare_sides([_runs(word) for word in command.words], by)
        sides = [found[0].first, *(each.second for each in found)]
        print("\n".join(map(side_line, sides)))
        for each in found:
            print(f"\n{each}")
        if figure.value:
            from vitjax.reporting.drawing import write_png

            write_png(Path(figure.value), comparison_picture(found).figure)
            print(f"written to {figure.value}")
        return 0

    return command.run(main, argv)


def _runs(word: str) -> list[str]:
    """Returns the folders of a side; a sweep's members have commas in their names."""
    names: list[str] = []
    parts = word.split(",")
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if os.path.isdir(",".join(parts[:end]))), 1)
        names.append(",".join(parts[:end]))
        parts = parts[end:]
    if not all(names):
        raise UserError(f"{word!r} names no run beside a comma; expected RUN,RUN")
    return names


if __name__ == "__main__":
    sys.exit(run())
