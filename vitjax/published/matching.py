"""Which published row or recipe a run is of: the one whose config it has, but for the seed."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from vitjax import config_file
from vitjax.config import flatten, to_json
from vitjax.errors import UserError
from vitjax.published.ledger import Row, rows
from vitjax.published.recipes import recipes
from vitjax.runs.changes import differences


class Match(NamedTuple):
    """A config that is known: that of a row as published, or of a recipe for its network."""

    row: Row
    config: str  # FILE:ARG of --config
    is_recipe: bool = False


def row_of(config: dict[str, Any]) -> Row | None:
    """Returns the row whose network a run trains by a known config; None: that of no row.

    Of several it is the first that has an accuracy on test, if any has. `config` is a run's, as
    JSON; its seed is any.
    """
    found = (match.row for match in matches(config))
    return min(found, key=lambda row: row.accuracies.get("test_acc") is None, default=None)


def matches(config: dict[str, Any]) -> list[Match]:
    """Returns the rows and recipes whose config a run has, as JSON or flat, but for the seed."""
    return [match for changes, match in _compared(config) if not changes]


def known_matches(config: dict[str, Any], workdir: str) -> list[Match]:
    """As `matches`, of a run in `workdir`; raises UserError that names the nearest if none."""
    if found := matches(config):
        return found
    changes, nearest = min(_compared(config), key=lambda compared: len(compared[0]))
    raise UserError(
        f"the run in --record={workdir} is that of no row; nearest to {nearest.row.family} "
        f"{nearest.row.row}, whose {'; '.join(changes)}"
    )


def _compared(config: dict[str, Any]) -> Iterator[tuple[list[str], Match]]:
    """Yields each known config, with where it differs but for the seed."""
    seed, found = {"seed": config["seed"]}, flatten(config)
    for known, match in known_configs():
        yield differences(known | seed, found), match


@functools.cache
def known_configs() -> list[tuple[dict[str, Any], Match]]:
    """Returns the config, flattened, of every row that has one, and of every recipe."""
    known = [Match(row, row.config) for row in rows() if row.config is not None]
    known += [Match(recipe.row, recipe.config, True) for recipe in recipes()]
    return [(flatten(to_json(config_file.load_config(match.config))), match) for match in known]
