"""Parameters and multiply-accumulates of a model, without computing anything."""

import collections
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import linen as nn

T = TypeVar("T")


def _remembered(function: Callable[..., T]) -> Callable[..., T]:
    """Keeps results by model and image: to trace a network takes a large part of a second."""
    remembered = functools.lru_cache(maxsize=64)(function)

    @functools.wraps(function)
    def call(model: nn.Module, image_shape: tuple[int, int, int]) -> T:
        try:
            hash(model)
        except TypeError:  # an option is traced, as in a sweep
            return function(model, image_shape)
        return remembered(model, tuple(image_shape))

    return call


@_remembered
def abstract_variables(model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    """Returns the shapes of all collections, parameters and statistics, for images [H, W, C]."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), images)


def abstract_params(model: nn.Module, image_shape: tuple[int, int, int]) -> Any:
    """Returns the parameters' shapes for images [H, W, C]."""
    return abstract_variables(model, image_shape)["params"]


def num_params(params: Any) -> int:
    """Returns the number of values in a tree of arrays or shapes."""
    return sum(math.prod(p.shape) for p in jax.tree.leaves(params))


def num_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Returns the multiply-accumulates of one image's forward pass.

    Counts every matrix product and convolution in the traced program (attention included), and
    nothing else.
    """
    return sum(macs_by_module(model, image_shape).values())


@_remembered
def macs_by_module(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Returns the counts of `num_macs` by the path of the module, as in its parameters' tree."""
    variables = abstract_variables(model, image_shape)
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    jaxpr = jax.make_jaxpr(model.apply)(variables, images)
    counts: dict[str, int] = collections.Counter()
    for scope, count in _macs(jaxpr.jaxpr, ""):
        counts[scope.partition("/")[2]] += count  # without the model's own name
    return dict(counts)


def _macs(jaxpr: Any, outer: str) -> Iterator[tuple[str, int]]:
    """Yields each product's scope, which flax names after the module, and its count."""
    for eqn in jaxpr.eqns:
        scope = "/".join(filter(None, (outer, str(eqn.source_info.name_stack))))
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            depth = math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
            yield scope, depth * math.prod(eqn.outvars[0].aval.shape)
        elif eqn.primitive.name == "conv_general_dilated":
            spec = eqn.params["dimension_numbers"].rhs_spec  # (out channels, in channels, *window)
            kernel = eqn.invars[1].aval.shape
            depth = math.prod(kernel[axis] for axis in spec[1:])
            yield scope, depth * math.prod(eqn.outvars[0].aval.shape)
        inside = list(eqn.params.values())
        if eqn.primitive.name == "cond":  # the same on one platform and on others
            inside = [eqn.params["branches"][0]]
        for inner in jax.tree.leaves(
            inside, is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        ):
            if hasattr(inner, "jaxpr"):
                inner = inner.jaxpr
            if hasattr(inner, "eqns"):
                yield from _macs(inner, scope)
