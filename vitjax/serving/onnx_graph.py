"""A graph of ONNX in the making: operations with names for what they give."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Value = str | np.ndarray  # the name of what a node gives, or what is known already
Shape = tuple[Any, ...]  # of numbers, and of the symbol for the batch


class Node(NamedTuple):
    """An operation of ONNX."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Graph:
    """Operations in their order, and the constants that they read."""

    def __init__(self, image_input: str):
        """`image_input` is the name of the one input, whose first axis is the batch."""
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.outputs: list[str] = []
        self._input, self._names, self._batch = image_input, 0, ""

    def add(self, op: str, *inputs: Value, count: int = 1, **attributes: Any) -> list[str]:
        """Adds a node; returns the names of its `count` outputs."""
        names = tuple(map(self._named, inputs))
        outputs = tuple(self._fresh() for _ in range(count))
        self.nodes.append(Node(op, names, outputs, attributes))
        return list(outputs)

    def finish(self, outputs: Sequence[Value], names: Sequence[str]) -> None:
        """Gives outputs their names, and drops what none of them needs."""
        for value, name in zip(outputs, names, strict=True):
            self.nodes.append(Node("Identity", (self._named(value),), (name,), {}))
        self.outputs, needed, kept = list(names), set(names), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {name: x for name, x in self.constants.items() if name in needed}

    def dims(self, shape: Shape) -> Value:
        """Returns a shape as an operand."""
        if all(isinstance(dim, int) for dim in shape):
            return np.array(shape, np.int64)
        if not self._batch:
            (whole,) = self.add("Shape", self._input)
            (self._batch,) = self.add("Slice", whole, *map(ints, ([0], [1])))
        parts = [ints([dim]) if isinstance(dim, int) else self._batch for dim in shape]
        return self.add("Concat", *parts, axis=0)[0]

    def _named(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        name = self._fresh()
        self.constants[name] = value
        return name

    def _fresh(self) -> str:
        self._names += 1
        return f"v{self._names}"


def ints(values: Sequence[int]) -> np.ndarray:
    """Whole numbers as operations take them."""
    return np.array(values, np.int64)


def open_shape(shape: Sequence[Any]) -> np.ndarray:
    """A shape as Reshape takes it, with -1 for the batch."""
    return ints([size if isinstance(size, int) else -1 for size in shape])
