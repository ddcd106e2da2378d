"""Runs compared on the test examples that they share: is one better, by how much, and where."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vitjax.data.readers.csv import check_header, whole_rows
from vitjax.errors import UserError
from vitjax.inference.evaluation import predictions
from vitjax.inference.evaluation_data import Say
from vitjax.reporting.comparison import (
    Comparison,
    Grouping,
    binned,
    by_class,
    check_same,
    compare_pair,
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
    if len(names) < 2 or not all(names):
        raise UserError("two runs or more are compared; give their folders")
    runs = {name: predictions(name, say=say) for each in names for name in each}
    check_same(list(runs), list(runs.values()))
    some = next(iter(runs.values()))
    groupings = [by_class(some)]
    if column:
        texts = read_column(column, some.ids)
        groupings.append(Grouping(column.name, *binned(texts)))
    first, *others = (side(",".join(each), [runs[name] for name in each]) for each in names)
    return [compare_pair(first, second, groupings) for second in others]


def read_column(column: Column, ids: np.ndarray) -> list[str]:
    """Returns a CSV's column for the examples `ids` [N], "" for those that it lacks.

    Rows are found by the column `key`, by default `id` or else `path`, which names examples as
    predictions.npz does; without any they must be the examples in order. Raises UserError in
    one line.
    """
    path = column.file
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            columns = list(reader.fieldnames or [])
            rows = [row for _, row in whole_rows(path, reader)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from error
    key = column.key or next((name for name in ("id", "path") if name in columns), "")
    check_header(path, columns, column.name, "--column")
    if not key:
        if len(rows) != len(ids):
            raise UserError(
                f"{path} has {len(rows):,} rows for {len(ids):,} examples and neither a column id "
                "nor path to find them by; say with --key which column names them"
            )
        return [row[column.name] or "" for row in rows]
    check_header(path, columns, key, "--key")
    by_id: dict[str | None, str] = {}
    for row in rows:
        value = row[column.name] or ""
        if by_id.setdefault(row[key], value) != value:
            raise UserError(
                f"{path} has two values of {column.name} for {row[key]!r} in its column {key}; "
                "delete one"
            )
    found = [by_id.get(name, "") for name in ids]
    if not any(found):
        raise UserError(
            f"{path} names none of the examples in its column {key}; they are called as {ids[0]}"
        )
    return found
