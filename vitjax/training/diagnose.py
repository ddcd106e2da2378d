"""Where a run went wrong: the first layer whose numbers are not finite."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh

from vitjax.data import order
from vitjax.data.on_device import DeviceSplit
from vitjax.data.order import Order
from vitjax.training.state import TrainState
from vitjax.training.step import Recipe, gradients, summed_loss, train_batch


def first_bad_layer(
    recipe: Recipe, mesh: Mesh, seed: Any, data: DeviceSplit, epoch_order: Order, state: TrainState
) -> str:
    """Repeats the step that stopped `state` and names where it stops being finite."""
    recipe = _in_the_open(recipe)
    epoch, i = divmod(int(state.step), recipe.steps_per_epoch)
    at = jax.tree.map(lambda x: x[i], epoch_order)
    batch = train_batch(recipe, mesh, seed, data, at, epoch)
    key = order.dropout_key(seed, state.step)
    bad = _paths_not_finite(state.params)
    if bad:
        return f"in parameter {bad[0]}"
    found: list[str] = []

    def watch(call, args, kwargs, context):
        y = call(*args, **kwargs)
        if context.method_name == "__call__" and not jnp.isfinite(y).all():
            found.append("/".join(context.module.path))
        return y

    variables = {"params": state.params, **state.model_state}
    with nn.intercept_methods(watch):
        loss, _ = summed_loss(recipe, variables, batch, key)
    if found:
        return f"in the output of {found[0] or 'the model'}"  # inner layers return first
    if not jnp.isfinite(loss):
        return "in the loss"
    bad = _paths_not_finite(gradients(recipe, mesh, variables, batch, key)[0])
    return f"in the gradient of {bad[-1]}" if bad else "in the optimiser's update"


def _in_the_open(recipe: Recipe) -> Recipe:
    """Returns the recipe without remat, which shows a layer's outputs to its trace alone."""
    if not hasattr(recipe.model, "remat"):
        return recipe
    return dataclasses.replace(recipe, model=recipe.model.clone(remat=False))


def _paths_not_finite(tree: Any) -> list[str]:
    flat = flatten_dict(tree, sep="/")
    return [path for path, x in flat.items() if not jnp.isfinite(x).all()]
