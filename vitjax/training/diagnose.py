"""Where a run went wrong: the first layer whose numbers are not finite."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh

from vitjax.data import order
from vitjax.data.on_device import Batches
from vitjax.training.state import TrainState
from vitjax.training.step import Recipe, augment_batch, gather_batch, gradients, summed_loss


def first_bad_layer(
    recipe: Recipe, mesh: Mesh, seed: Any, batches: Batches, state: TrainState
) -> str:
    """Repeats the step that stopped `state` and names where it stops being finite."""
    recipe = _in_the_open(recipe)
    layers: list[str] = []  # in the order in which they return: inner ones first

    def step(seed: Any, batches: Batches, state: TrainState):
        """Repeats a step; returns what of parameters, layers, loss and gradients is finite."""
        epoch = state.step // recipe.steps_per_epoch
        gathered = gather_batch(mesh, batches, state.step - batches.first)
        batch = augment_batch(recipe, mesh, seed, epoch, gathered)
        key = order.dropout_key(seed, state.step)
        variables = {"params": state.params, **state.model_state}
        outputs: list[jax.Array] = []

        def watch(call, args, kwargs, context):
            """Computes a layer, and notes whether its output is finite."""
            y = call(*args, **kwargs)
            if context.method_name in ("__call__", "in_parts"):
                layers.append("/".join(context.module.path) or "the model")
                outputs.append(_all_finite(y))
            return y

        # Without the layers of a teacher, which may be computed again in a backward pass.
        alone = dataclasses.replace(recipe, distillation=None)
        with nn.intercept_methods(watch):
            summed_loss(alone, variables, batch, key)
        loss, _ = summed_loss(recipe, variables, batch, key)
        grads = gradients(recipe, mesh, variables, batch, key)[0]
        return _are_finite(state.params), outputs, jnp.isfinite(loss), _are_finite(grads)

    # One program, whose compilation takes less than that of its operations one by one.
    params, outputs, loss, grads = jax.device_get(jax.jit(step)(seed, batches, state))
    for path in _not_finite(state.params, params):
        return f"in parameter {path}"
    for layer, finite in zip(layers, outputs, strict=True):
        if not finite:
            return f"in the output of {layer}"
    if not loss:
        return "in the loss"
    bad = _not_finite(state.params, grads)
    return f"in the gradient of {bad[-1]}" if bad else "in the optimiser's update"


def _in_the_open(recipe: Recipe) -> Recipe:
    """Returns the recipe without remat, which shows a layer's outputs to its trace alone."""
    if not hasattr(recipe.model, "remat"):
        return recipe
    return dataclasses.replace(recipe, model=recipe.model.clone(remat=False))


def _all_finite(outputs: Any) -> jax.Array:
    """Returns whether all numbers of a layer's outputs are finite."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(outputs)]).all()


def _are_finite(tree: Any) -> dict[str, jax.Array]:
    """Returns whether each array of a nested dict is finite, by its path."""
    return {path: jnp.isfinite(x).all() for path, x in flatten_dict(tree, sep="/").items()}


def _not_finite(params: Any, found: dict[str, Any]) -> list[str]:
    """Returns the paths that `found` says are not finite, in the order of the parameters."""
    return [path for path in flatten_dict(params, sep="/") if not found.get(path, True)]
