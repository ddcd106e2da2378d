"""A JAX function as the operations of ONNX, from its jaxpr.

What depends on no input is computed here, so that only the operations of networks are left; of
code for several platforms, the CPU's is taken. The size of the batch stays open. jax2onnx 0.17.1
knows no code for several platforms and resizes no open batch; it needs a newer JAX than Colab has.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import export
from jax.extend import core

from vitjax.errors import UserError
from vitjax.serving.onnx_graph import Graph, Shape, Value, open_shape
from vitjax.serving.onnx_rules import ELEMENTWISE, OTHERS


def to_graph(
    function: Callable[[Any], Mapping[str, Any]],
    image_shape: tuple[int, ...],
    dtype: Any,
    image_input: str,
) -> Graph:
    """Returns a function from images [B, *image_shape] to outputs by name as a graph.

    Raises UserError for what networks here do not compute.
    """
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *image_shape), dtype)
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(images)
    graph = Graph(image_input)
    outputs = _Walk(graph).jaxpr(closed.jaxpr, closed.consts, [image_input])
    graph.finish(outputs, list(shapes))
    return graph


class _Walk:
    """Adds the equations of a jaxpr, and of those within it, to a graph."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._shapes: dict[str, Shape] = {}  # of values that stand for more by broadcasting

    def jaxpr(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
        """Returns the outputs of a jaxpr."""
        known: dict[Any, Value] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))

        def read(var: Any) -> Value:
            is_literal = isinstance(var, core.Literal)
            return np.asarray(var.val, var.aval.dtype) if is_literal else known[var]

        for equation in jaxpr.eqns:
            found = self._equation(equation, [read(var) for var in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return [self.whole(read(var), var.aval.shape) for var in jaxpr.outvars]

    def _equation(self, equation: Any, inputs: list[Value]) -> Sequence[Value]:
        name, params = equation.primitive.name, equation.params
        if name == "platform_index":
            return [np.array(_of_cpu(params["platforms"]))]
        if name == "cond" and isinstance(inputs[0], np.ndarray):
            branch = params["branches"][int(inputs[0])]
            return self.jaxpr(branch.jaxpr, branch.consts, inputs[1:])
        for inner in (params[key] for key in ("jaxpr", "call_jaxpr") if key in params):
            return self.jaxpr(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs)
        if _is_known(inputs, equation):
            found = equation.primitive.bind(*inputs, **params)
            parts = found if equation.primitive.multiple_results else [found]
            return [np.asarray(part) for part in parts]
        return self._translated(equation, inputs)

    def _translated(self, equation: Any, inputs: list[Value]) -> Sequence[Value]:
        name, shape = equation.primitive.name, equation.outvars[0].aval.shape
        if name == "broadcast_in_dim":
            return [self._broadcast(equation, inputs[0])]
        if name in ELEMENTWISE:
            pairs = zip(inputs, equation.invars, strict=True)
            if all(self._shape(x, var) != shape for x, var in pairs):
                inputs[0] = self.whole(inputs[0], shape)
            return ELEMENTWISE[name](self.graph, equation, inputs)
        if name not in OTHERS:
            raise UserError(
                f"this model computes {name}, which has no translation to ONNX here; choose "
                "--format=stablehlo"
            )
        pairs = zip(inputs, equation.invars, strict=True)
        return OTHERS[name](self.graph, equation, [self.whole(x, v.aval.shape) for x, v in pairs])

    def _shape(self, value: Value, var: Any) -> Shape:
        if isinstance(value, np.ndarray):
            return value.shape
        return self._shapes.get(value, var.aval.shape)

    def whole(self, value: Value, shape: Shape) -> Value:
        """Returns a value with all its repetitions."""
        now = value.shape if isinstance(value, np.ndarray) else self._shapes.get(value, shape)
        return value if now == shape else self.graph.add("Expand", value, self.graph.dims(shape))[0]

    def _broadcast(self, equation: Any, value: Value) -> Value:
        """Gives a value the axes of the result, and leaves repetition to those who read it."""
        before = self._shape(value, equation.invars[0])
        after: list[Any] = [1] * len(equation.outvars[0].aval.shape)
        for axis, size in zip(equation.params["broadcast_dimensions"], before, strict=True):
            after[axis] = size
        if isinstance(value, np.ndarray):
            return value.reshape(after)
        (name,) = self.graph.add("Reshape", value, open_shape(after))
        self._shapes[name] = tuple(after)
        return name


def _is_known(inputs: Sequence[Value], equation: Any) -> bool:
    sizes = [size for var in equation.outvars for size in var.aval.shape]
    parts: list[Any] = [*inputs]
    return all(isinstance(x, np.ndarray) for x in parts) and all(isinstance(n, int) for n in sizes)


def _of_cpu(platforms: Sequence[Sequence[str] | None]) -> int:
    return next(i for i, names in enumerate(platforms) if names is None or "cpu" in names)
