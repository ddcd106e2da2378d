"""Runs compared on the test examples that they share: is one better, by how much, and where."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vitjax.inference.evaluation import Say, predictions
from vitjax.reporting import comparison
from vitjax.reporting.drawing import Picture


class Column(NamedTuple):
    """A column of a CSV file on the examples, to compare by."""

    file: Path
    name: str
    key: str = ""  # the column that names the examples; "": id or path


class Comparison(NamedTuple):
    """What is said of the second side beside the first."""

    first: comparison.Side
    second: comparison.Side
    difference: comparison.Difference
    groups: list[tuple[str, list[comparison.Group]]]  # by class, then by a column

    def __str__(self) -> str:
        return comparison.comparison_table(self.first, self.second, self.difference, self.groups)

    def _repr_html_(self) -> str:
        return f"<pre>{self}</pre>{self.picture()._repr_html_()}"

    def picture(self) -> Picture:
        """Draws both accuracies in each group."""
        return comparison_picture([self])


def compare_sides(
    sides: Sequence[Sequence[str | Path]], column: Column | None = None, say: Say = print
) -> list[Comparison]:
    """Compares each side, runs of one kind that differ in their seeds, with the first.

    Runs that were not evaluated yet are evaluated first. Raises UserError where they are not of the
    same examples.
    """
    names = [[str(run) for run in side] for side in sides]
    runs = {name: predictions(name, say) for side in names for name in side}
    comparison.check_same(list(runs), list(runs.values()))
    first, *others = (
        comparison.side(",".join(side), [runs[name] for name in side]) for side in names
    )
    some = next(iter(runs.values()))
    by = [("class", some.labels, list(some.class_names))]
    if column:
        texts = comparison.read_column(column.file, column.name, some.ids, column.key)
        by.append((column.name, *comparison.binned(texts)))
    return [
        Comparison(
            first,
            second,
            comparison.difference(first, second),
            [(w, comparison.groups(first, second, np.asarray(v), n)) for w, v, n in by],
        )
        for second in others
    ]


def comparison_picture(comparisons: Sequence[Comparison]) -> Picture:
    """Draws both accuracies in each group of each comparison."""
    panels = [(c.first.name, c.second.name, what, g) for c in comparisons for what, g in c.groups]
    return comparison.comparison_picture(panels)
