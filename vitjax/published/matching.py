"""Which published row a run is: the one whose config it has, but for the seed."""

import functools
from collections.abc import Iterator
from typing import Any

from vitjax import config_file
from vitjax.config import flatten, to_json
from vitjax.errors import UserError
from vitjax.published.ledger import Row, rows
from vitjax.runs.changes import differences


def row_of(config: dict[str, Any]) -> Row | None:
    """Returns the row whose config a run has, as JSON, but for the seed; None: that of no row.

    Of several it is the first that has an accuracy on test, if any has.
    """
    found = rows_of(config)
    return min(found, key=lambda row: row.accuracies.get("test_acc") is None, default=None)


def rows_of(config: dict[str, Any]) -> list[Row]:
    """Returns the rows whose config a run has, as JSON or flattened, but for the seed."""
    return [row for changes, row in _compared(config) if not changes]


def known_rows_of(config: dict[str, Any], workdir: str) -> list[Row]:
    """Returns the rows of a run in `workdir`; raises UserError that names the nearest if none."""
    found = rows_of(config)
    if not found:
        changes, nearest = min(_compared(config), key=lambda compared: len(compared[0]))
        raise UserError(
            f"the run in --record={workdir} is that of no row; nearest to {nearest.family} "
            f"{nearest.row}, whose {'; '.join(changes)}"
        )
    return found


def _compared(config: dict[str, Any]) -> Iterator[tuple[list[str], Row]]:
    """Yields each row that has a config, with where it differs but for the seed."""
    seed, found = {"seed": config["seed"]}, flatten(config)
    for known, row in row_configs():
        yield differences(known | seed, found), row


@functools.cache
def row_configs() -> list[tuple[dict[str, Any], Row]]:
    """Returns every row that has a config, with its config flattened."""
    return [
        (flatten(to_json(config_file.load_config(row.config))), row)
        for row in rows()
        if row.config is not None
    ]
