"""The arithmetic of a traced program's matrix products and convolutions."""

import math
from collections.abc import Iterator
from typing import Any

import jax


def product_flops(jaxpr: Any) -> int:
    """Returns the floating-point operations of all products; the body of a loop counts once."""
    return 2 * sum(_macs(equation) for equation in equations(jaxpr))


def equations(jaxpr: Any) -> Iterator[Any]:
    """Yields what a jaxpr computes, inside of the functions that it calls too.

    Of a choice between branches it yields the first: the same on one platform and on others.
    """
    for equation in jaxpr.eqns:
        yield equation
        inside = list(equation.params.values())
        if equation.primitive.name == "cond":
            inside = [equation.params["branches"][0]]
        for inner in jax.tree.leaves(inside, is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from equations(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def _macs(equation: Any) -> int:
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        sides = [equation.invars[0].aval.shape[axis] for axis in contracted]
    elif equation.primitive.name == "conv_general_dilated":
        spec = equation.params["dimension_numbers"].rhs_spec  # (out channels, in channels, *window)
        sides = [equation.invars[1].aval.shape[axis] for axis in spec[1:]]
    else:
        return 0
    return math.prod(sides) * math.prod(equation.outvars[0].aval.shape)
