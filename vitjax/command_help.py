"""What a command says of its options."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_COLUMN, _WIDTH = 28, 100  # where texts begin and lines end


class Option(NamedTuple):
    """An option of a command line."""

    name: str
    kind: str  # of its value; "" for a switch
    text: str
    default: Any = None  # "", [] and None: none, which the text may explain
    choices: Sequence[str] = ()
    is_required: bool = False

    def lines(self) -> list[str]:
        """Returns its lines in --help."""
        head = f"  --{self.name} {self.kind}".rstrip()
        text = textwrap.wrap(f"{self.text.rstrip('.')}{self._default()}", _WIDTH - _COLUMN)
        if len(head) > _COLUMN - 2:
            return [head, *(" " * _COLUMN + line for line in text)]
        indent = " " * _COLUMN
        return [f"{head:<{_COLUMN}}{text[0]}", *(indent + line for line in text[1:])]

    def _default(self) -> str:
        if self.is_required:
            return " (required)"
        if self.default in (None, "", []):
            return "" if "default" in self.text else " (default: none)"
        return f" (default: {'off' if self.default is False else self.default})"


def help_page(doc: str, sections: Mapping[str, Sequence[Option]]) -> str:
    """Returns what --help shows: what the command does, and its options under their titles."""
    lines = [doc.strip()]
    for title, options in sections.items():
        lines += ["", f"{title}:", *(line for option in options for line in option.lines())]
    return "\n".join(lines)
