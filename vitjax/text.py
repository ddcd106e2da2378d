"""Text for terminals."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# What acts on a terminal: control characters but the newline, and those that turn the direction.
_ACTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Returns rows in columns two spaces apart, aligned right but for the columns in `left`."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def printable(text: str) -> str:
    """The text with Python's escapes for characters that would not show, or act on a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def all_printable(value: Any) -> Any:
    """JSON, or what will be, with each of its texts as `printable` makes it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {all_printable(key): all_printable(each) for key, each in value.items()}
    return type(value)(map(all_printable, value)) if isinstance(value, list | tuple) else value


def harmless(text: str) -> str:
    """The text, of any lines, with JSON's escapes for characters that would act on a terminal."""
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_line(value: Any) -> str:
    """JSON on one line for standard output, with escapes where its encoding lacks a character."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def brief(text: str, length: int) -> str:
    """A text of at most `length` characters: its beginning and its end."""
    half = (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def one_line(error: BaseException) -> str:
    """An error's text, or else its type, on one line of bearable length."""
    return printable(" ".join(str(error).split())[:300]) or type(error).__name__
