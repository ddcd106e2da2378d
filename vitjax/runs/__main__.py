"""Lists the runs and sweeps in a folder: their data, accuracy, epochs and state, newest first.

python -m vitjax.runs
python -m vitjax.runs runs/light [--json]

The folder is runs, unless another one is given; runs lie in it at any depth, and the members of a
sweep stand behind it. A run is running (a process trains in it), interrupted (the same command goes
on), finished, diverged (its numbers were not finite), of a sweep dropped, or damaged: then the
reason is told. Accuracies are those of the best epoch on validation. Checkpoints are not opened.
"""

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitjax import cli
from vitjax.errors import UserError
from vitjax.text import json_line, printable, table

if TYPE_CHECKING:
    from vitjax.runs.listing import Entry


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, takes_words=True)
    command.section("Output")
    as_json = command.switch("json", "One JSON object a run and line.")

    def main() -> int:
        from vitjax.runs.listing import entries

        if len(command.words) > 1:
            raise UserError(f"{len(command.words)} folders given, expected one")
        folder = Path(*command.words) if command.words else Path("runs")
        found = entries(folder)
        if as_json.value:
            print("".join(f"{_json(entry)}\n" for entry in found), end="")
        else:
            print(_table(found) if found else f"no runs in {folder}")
        return 0

    return command.run(main, argv)


def _json(entry: "Entry") -> str:
    changed = datetime.datetime.fromtimestamp(entry.changed, datetime.UTC)
    own = {"path": str(entry.path), "changed": changed.isoformat(timespec="seconds")}
    return json_line(entry._asdict() | own)


def _table(found: Sequence["Entry"]) -> str:
    heads = ["run", "model", "data", "epoch", "valid", "test", "last written", "state"]
    return table([heads, *map(_cells, found)], left=(0, 1, 2, 7))


def _cells(entry: "Entry") -> list[str]:
    changed = datetime.datetime.fromtimestamp(entry.changed)
    done = "-" if entry.done is None else f"{entry.done}/{entry.of}"
    return [
        printable(str(entry.path)),
        printable(entry.model) or "-",
        printable(entry.data) or "-",
        f"{done} members" if entry.kind == "sweep" else done,
        _percent(entry.valid_accuracy),
        _percent(entry.test_accuracy),
        f"{changed:%Y-%m-%d %H:%M}" if entry.changed else "-",
        f"{entry.state}: {printable(entry.problem)}" if entry.problem else entry.state,
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


if __name__ == "__main__":
    sys.exit(run())
