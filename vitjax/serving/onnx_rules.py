"""What primitives of JAX are in ONNX: those that networks here compute."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vitjax.errors import UserError
from vitjax.serving.onnx_graph import Graph, Shape, Value, ints, open_shape

Rule = Callable[[Graph, Any, Sequence[Value]], Sequence[Value]]


def _plain(op: str) -> Rule:
    return lambda graph, equation, inputs: graph.add(op, *inputs)


def _same(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    return inputs


def _rsqrt(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    return graph.add("Reciprocal", *graph.add("Sqrt", *inputs))


def _power(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    exponent = equation.params.get("y", 2)
    if exponent == 2:
        return graph.add("Mul", inputs[0], inputs[0])
    return graph.add("Pow", inputs[0], np.array(exponent, np.float32))


def _select(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    which, no, yes = inputs
    return graph.add("Where", which, yes, no)


def _convert(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    before, after = equation.invars[0].aval.dtype, equation.params["new_dtype"]
    return inputs if before == after else graph.add("Cast", inputs[0], to=np.dtype(after))


def _reduce(op: str) -> Rule:
    def rule(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
        return graph.add(op, inputs[0], ints(equation.params["axes"]), keepdims=0)

    return rule


def _reshape(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    return graph.add("Reshape", inputs[0], open_shape(equation.outvars[0].aval.shape))


def _transpose(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    return graph.add("Transpose", inputs[0], perm=equation.params["permutation"])


def _concatenate(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    return graph.add("Concat", *inputs, axis=equation.params["dimension"])


def _split(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    sizes = ints(equation.params["sizes"])
    return graph.add("Split", inputs[0], sizes, count=len(sizes), axis=equation.params["axis"])


def _cut(graph: Graph, value: Value, starts: Any, ends: Any, steps: Any, whole: Shape) -> Value:
    """Cuts along the axes of which anything is cut off; the batch is never cut."""
    cut = [
        (start, end, axis, step)
        for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True))
        if isinstance(whole[axis], int) and (start, end, step) != (0, whole[axis], 1)
    ]
    return graph.add("Slice", value, *map(ints, zip(*cut, strict=True)))[0] if cut else value


def _slice(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    params, whole = equation.params, equation.invars[0].aval.shape
    steps = params["strides"] or (1,) * len(whole)
    return [_cut(graph, inputs[0], params["start_indices"], params["limit_indices"], steps, whole)]


def _gather(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    """Only what x[:, 0] and x[:, :n] are: one slice, at a place that is known."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    whole, place = equation.invars[0].aval.shape, inputs[1]
    if not isinstance(place, np.ndarray) or place.ndim != 1:
        raise UserError(
            "this model reads values at places that depend on the image, which has no translation "
            "to ONNX here; choose --format=stablehlo"
        )
    starts = [0] * len(whole)
    for axis, start in zip(numbers.start_index_map, place.tolist(), strict=True):
        starts[axis] = start
    ends = [start + size for start, size in zip(starts, sizes, strict=True)]
    part = _cut(graph, inputs[0], starts, ends, [1] * len(whole), whole)
    return graph.add("Reshape", part, open_shape(equation.outvars[0].aval.shape))


def _pad(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    low, high, _ = zip(*equation.params["padding_config"], strict=True)
    return graph.add("Pad", inputs[0], ints([*low, *high]), inputs[1])


def _dot(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    """As MatMul, with what is shared first and what is summed over last, or else as Einsum."""
    (sum_a, sum_b), (each_a, each_b) = equation.params["dimension_numbers"]
    ranks = [len(var.aval.shape) for var in equation.invars]
    free_a, free_b = (
        [axis for axis in range(rank) if axis not in {*summed, *each}]
        for rank, summed, each in zip(ranks, (sum_a, sum_b), (each_a, each_b), strict=True)
    )
    if len(sum_a) == len(free_b) == 1 and (len(free_a) == 1 or not each_a):
        a = _turned(graph, inputs[0], [*each_a, *free_a, *sum_a])
        b = _turned(graph, inputs[1], [*each_b, *sum_b, *free_b])
        return graph.add("MatMul", a, b)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    a_names, b_names = (dict.fromkeys(range(rank), "") for rank in ranks)
    for axes in (zip(each_a, each_b, strict=True), zip(sum_a, sum_b, strict=True)):
        for i, j in axes:
            a_names[i] = b_names[j] = next(letters)
    for names, free in ((a_names, free_a), (b_names, free_b)):
        names.update(zip(free, letters, strict=False))
    out = [a_names[i] for i in (*each_a, *free_a)] + [b_names[j] for j in free_b]
    sides = ("".join(names.values()) for names in (a_names, b_names))
    return graph.add("Einsum", *inputs, equation=f"{','.join(sides)}->{''.join(out)}")


def _turned(graph: Graph, value: Value, axes: Sequence[int]) -> Value:
    if list(axes) == sorted(axes):
        return value
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value.transpose(axes))
    return graph.add("Transpose", value, perm=axes)[0]


def _convolution(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    params = equation.params
    image, kernel, out = params["dimension_numbers"]
    low, high = zip(*params["padding"], strict=True)
    found = graph.add(
        "Conv",
        _turned(graph, inputs[0], image),
        _turned(graph, inputs[1], kernel),
        strides=params["window_strides"],
        dilations=params["rhs_dilation"],
        pads=[*low, *high],
        group=params["feature_group_count"],
    )
    return [_turned(graph, found[0], np.argsort(out).tolist())]


def _max_pool(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Sequence[Value]:
    """Of [B, H, W, C]."""
    params = equation.params
    low, high = zip(*params["padding"][1:3], strict=True)
    found = graph.add(
        "MaxPool",
        _turned(graph, inputs[0], [0, 3, 1, 2]),
        kernel_shape=params["window_dimensions"][1:3],
        strides=params["window_strides"][1:3],
        pads=[*low, *high],
    )
    return [_turned(graph, found[0], [0, 2, 3, 1])]


ELEMENTWISE: dict[str, Rule] = {
    **{name: _plain(name.capitalize()) for name in ("add", "sub", "mul", "div", "max", "min")},
    **{name: _plain(name.capitalize()) for name in ("exp", "log", "erf", "tanh", "sqrt", "neg")},
    "logistic": _plain("Sigmoid"),
    "rsqrt": _rsqrt,
    "square": _power,
    "integer_pow": _power,
    "convert_element_type": _convert,
    "copy": _same,
    "stop_gradient": _same,
    "select_n": _select,
}
OTHERS: dict[str, Rule] = {
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "device_put": _same,
    "dot_general": _dot,
    "gather": _gather,
    "optimization_barrier": _same,
    "pad": _pad,
    "reduce_max": _reduce("ReduceMax"),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_window_max": _max_pool,
    "reshape": _reshape,
    "slice": _slice,
    "split": _split,
    "squeeze": _reshape,
    "transpose": _transpose,
}
