"""Parameters and multiply-accumulates of a model, without computing anything."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


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
    variables = abstract_variables(model, image_shape)
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    jaxpr = jax.make_jaxpr(model.apply)(variables, images)
    return _macs(jaxpr.jaxpr)


def _macs(jaxpr: Any) -> int:
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            depth = math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
            total += depth * math.prod(eqn.outvars[0].aval.shape)
        elif eqn.primitive.name == "conv_general_dilated":
            spec = eqn.params["dimension_numbers"].rhs_spec  # (out channels, in channels, *window)
            kernel = eqn.invars[1].aval.shape
            depth = math.prod(kernel[axis] for axis in spec[1:])
            total += depth * math.prod(eqn.outvars[0].aval.shape)
        for inner in jax.tree.leaves(
            list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        ):
            if hasattr(inner, "jaxpr"):
                inner = inner.jaxpr
            if hasattr(inner, "eqns"):
                total += _macs(inner)
    return total
