"""Choices by name, with an error that helps."""

import difflib
from collections.abc import Collection, Mapping
from typing import TypeVar

from vitjax.errors import UserError

T = TypeVar("T")


def nearest(name: str, known: Collection[str]) -> str:
    """Returns a hint such as "; did you mean 'vit'?", or "" when nothing is near."""
    found = difflib.get_close_matches(str(name), list(known), n=3)
    return "; did you mean " + " or ".join(map(repr, found)) + "?" if found else ""


def check_name(known: Collection[str], name: str, option: str) -> None:
    """Raises UserError that names the choices and the option, unless `name` is known."""
    if name not in known:
        raise UserError(
            f"{option}={name!r} is unknown; choose from {', '.join(sorted(known))}"
            f"{nearest(name, known)}"
        )


def choose(table: Mapping[str, T], name: str, option: str) -> T:
    """Returns `table[name]`; raises UserError as `check_name` does."""
    check_name(table, name, option)
    return table[name]
