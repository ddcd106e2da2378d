"""Reads the text of a compiled program: what runs, one operation after another, and on what."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence

# What takes no time, or whose parts are counted themselves.
_FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "iota"),
    *("while", "conditional", "call", "copy-done", "async-done", "async-update", "opt-barrier"),
    *("all-reduce-done", "all-gather-done", "collective-permute-done", "partition-id"),
    *("slice-done", "send-done", "recv-done"),
}
_MOVES = ("copy-start", "slice-start")  # between a TPU's memory and its VMEM
_PICKS = ("gather", "slice", "dynamic-slice")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{\s*$")
_OPERATION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
_CALLED = re.compile(r"(?:body|condition|to_apply|true_computation|false_computation)=%?([\w.-]+)")
_BODY = re.compile(r" while\(.*\bbody=%?([\w.-]+)")
_FUSED = re.compile(r"\bcalls=%?([\w.-]+)")
_PARAMETER = re.compile(r" parameter\((\d+)\)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_ARRAY = re.compile(r"\b([a-z]\d*\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_BITS = re.compile(r"\d+")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


@dataclasses.dataclass(frozen=True)
class Array:
    """An array as it lies in memory."""

    dtype: str  # as XLA writes it: f32, bf16, u8, pred
    shape: tuple[int, ...]
    minor_to_major: tuple[int, ...]  # axes, the one whose elements are neighbours first
    tile: tuple[int, ...]  # that the minor axes are padded to; () on CPU and GPU
    on_chip: bool = False  # in a TPU's VMEM

    @property
    def num_bytes(self) -> int:
        """The bytes of its elements."""
        return math.prod(self.shape) * self._element_bits() // 8

    @property
    def padded_bytes(self) -> int:
        """The bytes that it takes."""
        sides = [self.shape[axis] for axis in self.minor_to_major]  # minor first
        for i, side in enumerate(reversed(self.tile)):
            if i < len(sides):
                sides[i] = -(-sides[i] // side) * side
        return math.prod(sides) * self._element_bits() // 8

    def _element_bits(self) -> int:
        bits = _BITS.search(self.dtype)
        return int(bits[0]) if bits else 8  # pred


@dataclasses.dataclass(frozen=True)
class Operation:
    """One of a program's operations, or kernels."""

    name: str
    opcode: str
    results: tuple[Array, ...]
    operands: tuple[str, ...]  # names
    text: str


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program: computations by name, and the one that it begins with."""

    computations: Mapping[str, Sequence[Operation]]
    entry: str

    def operations(self, *, fused: bool = False) -> list[Operation]:
        """Returns what runs; the body of a loop once, the inside of a fusion if `fused`."""
        return [
            operation
            for name in self._reached(fused)
            for operation in self.computations[name]
            if operation.opcode not in _FREE
        ]

    def _reached(self, fused: bool = False) -> list[str]:
        """Returns the names of the computations that run, those of fusions if `fused`."""
        reached = [self.entry]
        for name in reached:  # which grows
            for operation in self.computations[name]:
                called = _called(operation) + (_FUSED.findall(operation.text) if fused else [])
                new = (each for each in called if each in self.computations)
                reached += [each for each in new if each not in reached]
        return reached

    def memory_bytes(self) -> int:
        """Returns the bytes that operations read from and write to a chip's memory.

        As the shapes tell, padding included; what lies in a TPU's VMEM is not counted. Where an
        operation picks a part of an operand, only as much is.
        """
        results = {
            operation.name: operation.results
            for body in self.computations.values()
            for operation in body
        }
        return sum(self._moved(operation, results) for operation in self.operations())

    def cycles(self) -> int:
        """Returns how long its operations take as a TPU's compiler estimates; 0 of a GPU's.

        One after another, with the cost of starting each; a kernel's own time is not in it.
        """
        found = (_CYCLES.search(operation.text) for operation in self.operations())
        return sum(int(cycles[1]) for cycles in found if cycles)

    def _moved(self, operation: Operation, results: Mapping[str, tuple[Array, ...]]) -> int:
        """Returns the bytes of memory that an operation reads and writes; `results` are of all."""
        if operation.opcode in _MOVES:  # its results are where to, where from, and a flag
            return min(array.padded_bytes for array in operation.results[:2])
        moved = sum(_outside(array) for array in operation.results)
        picked = self._picked(operation)
        for place, name in enumerate(operation.operands):
            read = sum(map(_outside, results.get(name, ())))
            moved += min(read, picked.get(place, read))
        return moved

    def _picked(self, operation: Operation) -> dict[int, int]:
        """Returns the bytes that an operation picks of its operands, by place, where it picks."""
        if any(word in operation.name for word in ("gather", "slice")):
            written = sum(array.padded_bytes for array in operation.results)
            return dict.fromkeys(range(len(operation.operands)), written)
        called = _FUSED.search(operation.text)
        if operation.opcode != "fusion" or not called:
            return {}
        picked = {}
        inside = self.computations.get(called[1], ())
        for number, users in _users_of_parameters(inside).items():
            if users and all(user.opcode in _PICKS for user in users):
                picked[number] = sum(x.padded_bytes for user in users for x in user.results)
        return picked

    def loop(self) -> "Program":
        """Returns one pass of the largest loop; the program itself where there is none."""
        bodies = [
            Program(self.computations, body[1])
            for name in self._reached()
            for operation in self.computations[name]
            if (body := _BODY.search(operation.text))
        ]
        return max(bodies, key=lambda body: len(body.operations()), default=self)


def _users_of_parameters(fusion: Sequence[Operation]) -> dict[int, list[Operation]]:
    """Returns what reads each parameter of a fusion, by the parameter's number."""
    users: dict[int, list[Operation]] = {}
    for operation in fusion:
        if number := _PARAMETER.search(operation.text):
            names = {operation.name}
            for other in fusion:
                if other.opcode == "bitcast" and names.intersection(other.operands):
                    names.add(other.name)
            readers = (other for other in fusion if names.intersection(other.operands))
            users[int(number[1])] = [each for each in readers if each.opcode != "bitcast"]
    return users


def _outside(array: Array) -> int:
    return 0 if array.on_chip else array.padded_bytes


def read(text: str) -> Program:
    """Reads the text of a compiled module, as `compiled.as_text()` gives it."""
    found: dict[str, list[Operation]] = {}
    entry = name = ""
    for line in text.splitlines():
        if start := _COMPUTATION.match(line):
            name = start[2]
            found[name] = []
            entry = name if start[1] else entry
        elif name and (match := _OPERATION.match(line)):
            operands = tuple(re.findall(r"%([\w.-]+)", match[4].partition(")")[0]))
            arrays = _results(match[3], match[2])
            found[name].append(Operation(match[1], match[3], arrays, operands, line))
    return Program(found, entry)


def _results(opcode: str, shapes: str) -> tuple[Array, ...]:
    """Returns the results of an operation, without the workspace that a GPU's library gets."""
    arrays = tuple(_arrays(shapes))
    if opcode == "custom-call" and len(arrays) > 1 and arrays[-1].dtype == "s8":
        return arrays[:-1]
    return arrays


def _arrays(text: str) -> Iterator[Array]:
    for dtype, shape, order, rest in _ARRAY.findall(text):
        sides = tuple(int(side) for side in shape.split(",") if side)
        axes = tuple(int(axis) for axis in order.split(",") if axis)
        tile = re.match(r"T\(([\d,]+)\)", rest)
        padded_to = tuple(map(int, tile[1].split(","))) if tile else ()
        yield Array(dtype, sides, axes, padded_to, "S(1)" in rest)


def _called(operation: Operation) -> list[str]:
    """Returns the computations that an operation runs, but for a fusion's."""
    if operation.opcode not in ("while", "conditional", "call", "async-start"):
        return []
    branches = _BRANCHES.search(operation.text)
    names = [name.strip().lstrip("%") for name in branches[1].split(",")] if branches else []
    return names + _CALLED.findall(operation.text)
