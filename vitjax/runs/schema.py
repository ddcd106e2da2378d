"""Whether a JSON value is what a type says: TypedDicts, lists, numbers within limits."""

import functools
import json
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

from vitjax import files
from vitjax.errors import UserError
from vitjax.text import brief, printable

_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "an object",
}
_LARGEST_COUNT = 2**62  # far above all that is counted
_LARGEST = 2.0**128  # above all that float32 measures


class Limit(NamedTuple):
    """What a number must be besides a number."""

    low: float
    high: float = _LARGEST
    above: bool = False  # whether low itself is too low

    def holds(self, value: float) -> bool:
        """Whether a number is within the limit."""
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'at least'} {self.low:g}"
        return low if self.high == _LARGEST else f"{low} and at most {self.high:g}"


Share = Annotated[float, Limit(0, 1)]
Count = Annotated[int, Limit(0)]
Number = Annotated[int, Limit(1)]  # of what is counted from 1
NotBelow0 = Annotated[float, Limit(0)]
Above0 = Annotated[float, Limit(0, above=True)]


def read(path: Path, kind: Any, misfit: Callable[[Any], str] = lambda value: "") -> Any:
    """Returns the JSON of a file; raises UserError unless it is of a kind, and has no misfit."""
    advice = "put it back, or use another --workdir"
    try:
        return parse(files.read(path), kind, misfit)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; {advice}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); {advice}") from error


def parse(text: bytes, kind: Any, misfit: Callable[[Any], str] = lambda value: "") -> Any:
    """Returns the value of a JSON text; raises ValueError, in words, where `read` refuses."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
    if wrong := problem(value, kind) or misfit(value):
        raise ValueError(wrong)
    return value


def problem(value: Any, kind: Any, name: str = "") -> str:
    """Returns what of a JSON value is not of a kind, after the name of its field; "" if all is."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return ""
    if origin is Annotated:
        wrong = problem(value, parts[0], name)
        return wrong or ("" if parts[1].holds(value) else _is_not(value, str(parts[1]), name))
    if origin is NotRequired:
        return problem(value, parts[0], name)
    if origin is Literal:
        return "" if value in parts else _is_not(value, f"one of {', '.join(parts)}", name)
    if origin in (typing.Union, types.UnionType):
        wrongs = [problem(value, part, name) for part in parts]
        return wrongs[0] if all(wrongs) else ""
    if typing.is_typeddict(kind):
        return _problem_of_fields(value, kind, name)
    if not _is(value, origin or kind):
        return _is_not(value, _WORDS[origin or kind], name)
    if origin is list:
        return _first(problem(each, parts[0], f"{name}[{i}]") for i, each in enumerate(value))
    if origin is dict:
        return _first(problem(each, parts[1], _field(name, key)) for key, each in value.items())
    return ""


@functools.cache
def _fields(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _problem_of_fields(value: Any, kind: Any, name: str) -> str:
    if not isinstance(value, dict):
        return _is_not(value, "an object", name)
    for key, part in _fields(kind).items():
        if key not in value:
            if key in kind.__required_keys__:
                return f"{_field(name, key)} is missing"
        elif wrong := problem(value[key], part, _field(name, key)):
            return wrong
    return ""


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    largest = _LARGEST_COUNT if kind is int else _LARGEST
    if isinstance(value, int | float) and not -largest <= value <= largest:  # nor NaN
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _is_not(value: Any, expected: str, name: str) -> str:
    shown = brief(printable(json.dumps(value, default=str)), 60)
    return f"{name or 'it'} is {shown}, expected {expected}"


def _field(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _first(wrongs: Iterable[str]) -> str:
    return next(filter(None, wrongs), "")
