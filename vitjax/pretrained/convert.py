"""From the names and layouts of another library to vitjax's, by tables.

An origin is one library's way to store one network. Its rules are regular expressions of the names
in a file, each with the path in vitjax: "head/logits" is a layer, whose arrays ("weight") `leaf`
translates; "class_token", matched by an array's whole name, is an array. Where several layers of
theirs are one of ours (queries, keys and values), "@0", "@1", "@2" give their order.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vitjax.pretrained.trained_with import Describe

Arrays = dict[str, np.ndarray]
# (path of a layer here, name of its array there, array) -> collection, name here, array
Leaf = Callable[[str, str, np.ndarray], tuple[str, str, np.ndarray]]
Read = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
Shows = Callable[[Mapping[str, np.ndarray]], Mapping[str, Any]]  # arrays -> options that they tell
# Arrays of a file, a model and the images [H, W, C] that it shall see -> what is not known of them.
Doubt = Callable[[Mapping[str, np.ndarray], Any, tuple[int, int, int]], str]


def torch_leaf(layer: str, name: str, value: np.ndarray) -> tuple[str, str, np.ndarray]:
    """Torch's arrays of a layer: kernels [out, in, ...] become [..., in, out]."""
    del layer
    if name in ("running_mean", "running_var"):
        return "batch_stats", name.removeprefix("running_"), value
    if name == "weight" and value.ndim > 1:
        return "params", "kernel", np.moveaxis(value, (0, 1), (-1, -2))
    return "params", {"weight": "scale"}.get(name, name), value


@dataclasses.dataclass(frozen=True)
class Origin:
    """How one library stores one network."""

    title: str
    models: tuple[str, ...]  # classes in vitjax.models that it fits
    marks: tuple[str, ...]  # regular expressions that each match the beginning of some name
    rules: Mapping[str, str]  # regular expression of a name -> path in vitjax
    numbered: Callable[[Iterable[str]], Mapping[str, str]] = lambda names: {}  # see rules_for
    leaf: Leaf = torch_leaf
    separator: str = "."  # between a layer and its arrays
    ignored: tuple[str, ...] = ()  # names of what no computation here needs
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of all: option -> value
    describe: Describe | None = None  # reads the library's config.json
    read: Read = lambda tensors: tensors  # without rows that the library never reads
    shows: Shows = lambda tensors: {}
    doubt: Doubt = lambda tensors, model, image_shape: ""

    def rules_for(self, names: Iterable[str]) -> dict[str, str]:
        """Returns all rules for the arrays of one network, whose names are theirs or our paths.

        `numbered` gives those of layers whose numbers depend on the layers before them.
        """
        return {**self.rules, **self.numbered(names)}

    def fits(self, names: list[str]) -> bool:
        """Whether a file with these names is of this origin."""
        return all(any(re.match(mark, name) for name in names) for mark in self.marks)


@dataclasses.dataclass(frozen=True)
class Converted:
    """A file's arrays under vitjax's paths, such as params/head/logits/kernel."""

    arrays: Arrays
    names: dict[str, str]  # path -> the file's name(s)
    parts: dict[str, str]  # path that several may make -> their names and shapes in the file
    ignored: list[str]  # names left out on purpose
    unknown: dict[str, tuple[int, ...]]  # names that no rule covers, with their shapes
    origin: Origin | None = None  # None: vitjax
    shown: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # options that arrays tell
    doubt: Callable[[Any, tuple[int, int, int]], str] = lambda model, image_shape: ""


class _Piece(NamedTuple):
    """One of a file's arrays, in our layout."""

    part: str  # its place among those that make one of ours; "" if it makes one alone
    name: str
    array: np.ndarray


def convert(tensors: Mapping[str, np.ndarray], origin: Origin) -> Converted:
    """Translates all arrays of a file; raises no error for what it does not know.

    What several arrays make is left out where their shapes differ: `parts` alone tells of it.
    """
    found: dict[str, list[_Piece]] = {}
    read, unknown = origin.read(tensors), {}
    ignored = [f"{name}[{len(x)}:]" for name, x in read.items() if x.shape != tensors[name].shape]
    tensors = read
    rules = origin.rules_for(tensors)
    for name, value in tensors.items():
        if any(re.fullmatch(pattern, name) for pattern in origin.ignored):
            ignored.append(name)
            continue
        if (translated := _translate(name, value, rules, origin)) is None:
            unknown[name] = value.shape
            continue
        path, piece = translated
        found.setdefault(path, []).append(piece)
    arrays, names, parts = {}, {}, {}
    for path, pieces in found.items():
        pieces.sort(key=lambda piece: piece.part)
        names[path] = " + ".join(piece.name for piece in pieces)
        if len(pieces) > 1 or pieces[0].part:
            parts[path] = " + ".join(f"{p.name} {tensors[p.name].shape}" for p in pieces)
        if (joined := _joined([piece.array for piece in pieces])) is not None:
            arrays[path] = joined
    doubt = functools.partial(origin.doubt, tensors)
    shown = origin.shows(tensors)
    return Converted(arrays, names, parts, ignored, unknown, origin, shown, doubt)


def _joined(arrays: list[np.ndarray]) -> np.ndarray | None:
    """Returns arrays as one, along the last axis; None where their shapes differ."""
    if len(arrays) == 1:
        return arrays[0]
    alike = len({array.shape for array in arrays}) == 1 and arrays[0].ndim
    return np.concatenate(arrays, axis=-1) if alike else None


def _translate(
    name: str, value: np.ndarray, rules: Mapping[str, str], origin: Origin
) -> tuple[str, _Piece] | None:
    """Returns one of a file's arrays with its path here; None where no rule covers it."""
    layer, _, leaf = name.rpartition(origin.separator)
    for pattern, place in rules.items():
        path, _, part = place.partition("@")
        if found := re.fullmatch(pattern, name):
            return f"params/{found.expand(path)}", _Piece(part, name, value)
        if found := re.fullmatch(pattern, layer):
            ours = found.expand(path)
            collection, leaf, array = origin.leaf(ours, leaf, value)
            return f"{collection}/{ours}/{leaf}", _Piece(part, name, array)
    return None
