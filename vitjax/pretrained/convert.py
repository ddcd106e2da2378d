"""From the names and layouts of another library to vitjax's, by tables.

An origin is one library's way to store one network. Its rules are regular expressions of the names
in a file, each with the path in vitjax: "head/logits" is a layer, whose arrays ("weight") `leaf`
translates; "class_token", matched by an array's whole name, is an array. Where several layers of
theirs are one of ours (queries, keys and values), "@0", "@1", "@2" give their order.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping

import numpy as np

Arrays = dict[str, np.ndarray]
# (path of a layer here, name of its array there, array) -> collection, name here, array
Leaf = Callable[[str, str, np.ndarray], tuple[str, str, np.ndarray]]


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
    leaf: Leaf = torch_leaf
    separator: str = "."  # between a layer and its arrays
    ignored: tuple[str, ...] = ()  # names of what no computation here needs

    def fits(self, names: list[str]) -> bool:
        """Whether a file with these names is of this origin."""
        return all(any(re.match(mark, name) for name in names) for mark in self.marks)


@dataclasses.dataclass(frozen=True)
class Converted:
    """A file's arrays under vitjax's paths, such as params/head/logits/kernel."""

    arrays: Arrays
    names: dict[str, str]  # path -> the file's name(s)
    ignored: list[str]  # names left out on purpose
    unknown: dict[str, tuple[int, ...]]  # names that no rule covers, with their shapes


def convert(tensors: Mapping[str, np.ndarray], origin: Origin) -> Converted:
    """Translates all arrays of a file; raises no error for what it does not know."""
    parts: dict[str, dict[int, tuple[str, np.ndarray]]] = {}
    ignored, unknown = [], {}
    for name, value in tensors.items():
        if any(re.fullmatch(pattern, name) for pattern in origin.ignored):
            ignored.append(name)
            continue
        found = _translate(name, value, origin)
        if found is None:
            unknown[name] = value.shape
            continue
        path, part, value = found
        parts.setdefault(path, {})[part] = name, value
    arrays, names = {}, {}
    for path, pieces in parts.items():
        ordered = [pieces[part] for part in sorted(pieces)]
        values = [value for _, value in ordered]
        arrays[path] = values[0] if len(values) == 1 else np.concatenate(values, axis=-1)
        names[path] = " + ".join(name for name, _ in ordered)
    return Converted(arrays, names, ignored, unknown)


def _translate(name: str, value: np.ndarray, origin: Origin) -> tuple[str, int, np.ndarray] | None:
    """Returns (path, part, array) of one of a file's arrays; None where no rule covers it."""
    layer, _, leaf = name.rpartition(origin.separator)
    for pattern, place in origin.rules.items():
        path, _, part = place.partition("@")
        if found := re.fullmatch(pattern, name):
            return f"params/{found.expand(path)}", int(part or 0), value
        if found := re.fullmatch(pattern, layer):
            ours = found.expand(path)
            collection, leaf, array = origin.leaf(ours, leaf, value)
            return f"{collection}/{ours}/{leaf}", int(part or 0), array
    return None
