"""Runs compared on the test examples that they share: is one better, by how much, and where."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vitjax.inference.evaluation import predictions
from vitjax.inference.evaluation_data import Say
from vitjax.reporting.comparison import (
    Comparison,
    Grouping,
    binned,
    by_class,
    check_same,
    compare_pair,
    read_column,
    side,
)


class Column(NamedTuple):
    """A column of a CSV file on the examples, to compare by."""

    file: Path
    name: str
    key: str = ""  # the column that names the examples; "": id or path


def compare_sides(
    sides: Sequence[Sequence[str | Path]], column: Column | None = None, say: Say = print
) -> list[Comparison]:
    """Compares each side, runs of one kind that differ in their seeds, with the first.

    Runs that were not evaluated yet are evaluated first. Raises UserError where they are not of the
    same examples.
    """
    names = [[str(run) for run in each] for each in sides]
    runs = {name: predictions(name, say=say) for each in names for name in each}
    check_same(list(runs), list(runs.values()))
    some = next(iter(runs.values()))
    groupings = [by_class(some)]
    if column:
        texts = read_column(column.file, column.name, some.ids, column.key)
        groupings.append(Grouping(column.name, *binned(texts)))
    first, *others = (side(",".join(each), [runs[name] for name in each]) for each in names)
    return [compare_pair(first, second, groupings) for second in others]
