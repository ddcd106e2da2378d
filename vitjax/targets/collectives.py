"""What the chips of a compiled program send each other."""

import math
import re
from typing import NamedTuple

from vitjax.targets.hlo import Operation, Program

# How many times the bytes of its result a chip at least sends to its group of n.
_TIMES = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: n - 1,
    "all-to-all": lambda n: (n - 1) / n,
    "collective-permute": lambda n: 1,
}
_CHANNEL = re.compile(r"channel_id=(\d+)")
_LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")  # {{0,1},{2,3}}
_COUNTED = re.compile(r"replica_groups=\[\d+,(\d+)\]<=")  # [2,2]<=[4]: groups, size of each
# mesh['x'=2,'y'=2], device_ids=(...) {'x'}: along the axis x
_ALONG = re.compile(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(.*?\)+)? \{([^}]*)\}")
_AXIS = re.compile(r"'(\w+)'(?:=|:\(\d+\))?(\d*)")  # 'x'=2, or 2 of 'x' in parts: 'x':(1)2


class Sent(NamedTuple):
    """Bytes that a chip sends to others."""

    total: int
    alone: int  # of them, while it computes nothing


def sent(program: Program, num_chips: int) -> Sent:
    """Returns what each of `num_chips` sends in what a program runs; a loop's body counts once.

    Counted is what a ring of chips sends, than which no way sends less.
    """
    in_the_open = {operation.name for operation in program.operations()}
    sizes: dict[str, int] = {}
    beside: set[str] = set()
    for operation in program.operations(fused=True):
        kind = operation.opcode.removesuffix("-start")
        if kind in _TIMES:
            # A TPU's compiler spreads one over several fusions, which have its channel in common.
            channel = _CHANNEL.search(operation.text)
            key = channel[0] if channel else operation.name
            sizes[key] = round(_TIMES[kind](_group_size(operation, num_chips)) * _result(operation))
            if kind != operation.opcode or operation.name not in in_the_open:
                beside.add(key)
    total = sum(sizes.values())
    return Sent(total, total - sum(sizes[key] for key in beside))


def _group_size(operation: Operation, num_chips: int) -> int:
    """Returns how many chips exchange something with each other."""
    if listed := _LISTED.search(operation.text):
        return listed[1].count(",") + 1
    if counted := _COUNTED.search(operation.text):
        return int(counted[1])
    if along := _ALONG.search(operation.text):
        sides = dict(_AXIS.findall(along[1]))
        return math.prod(int(part or sides[axis]) for axis, part in _AXIS.findall(along[2]))
    return num_chips


def _result(operation: Operation) -> int:
    """Returns the bytes of a collective's result."""
    arrays = operation.results
    if operation.opcode in ("all-gather-start", "collective-permute-start"):  # operands, results
        data = [array for array in arrays if array.shape or array.dtype != "u32"]  # else contexts
        arrays = tuple(data[len(data) // 2 :])
    return sum(array.num_bytes for array in arrays)
