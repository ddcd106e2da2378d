"""Recipes: the networks of published rows, trained otherwise, to a better accuracy.

recipes.json lists them. A recipe is a config that has its row's network, and so its counts.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

from vitjax.published import ledger
from vitjax.published.ledger import Row

LIST = Path(__file__).parent / "recipes.json"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One recipe of a row."""

    row: Row
    config: str  # FILE:ARG of --config
    differs: str  # what it does otherwise than the row, in a line


@functools.cache
def recipes() -> tuple[Recipe, ...]:
    """Returns all recipes, in the order of their rows."""
    listed = json.loads(LIST.read_text())
    return tuple(
        Recipe(ledger.find(each["family"], each["row"]), each["config"], each["differs"])
        for each in listed
    )


def recipes_of(row: Row) -> list[Recipe]:
    """Returns the recipes of a row."""
    return [recipe for recipe in recipes() if recipe.row == row]


def file_name(config: str) -> str:
    """Returns what files and folders of a config, FILE:ARG, are called after."""
    return config.removeprefix("configs/").replace(".py", "").replace(":", "-")


def measured(recipe: Recipe, folder: Path = ledger.RESULTS) -> dict[str, Any] | None:
    """Returns what runs of a recipe measured, as `ledger.measured` does for a row, or None."""
    return ledger.result(recipe.row, recipe.config, folder)


def best(row: Row, folder: Path = ledger.RESULTS) -> dict[str, Any] | None:
    """Returns what the recipe of a row that is best on validation measured; None: none was run.

    Beside the keys of `ledger.measured` it has the recipe's config, as `recipe`, and `differs`.
    """
    found = [
        {**result, "differs": recipe.differs}
        for recipe in recipes_of(row)
        if (result := measured(recipe, folder))
    ]
    return max(found, key=lambda result: result["accuracies"]["valid_acc"], default=None)
