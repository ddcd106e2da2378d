"""Where a run begins: the model's initialisers, or weights from elsewhere."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vitjax.errors import UserError
from vitjax.training.finetune import split
from vitjax.training.progress import Say, timed
from vitjax.training.sharding import replicated
from vitjax.training.state import TrainState
from vitjax.training.step import Programs, Recipe


class Inputs(NamedTuple):
    """The images that a model sees."""

    shape: tuple[int, int, int]  # H, W, C
    mean: tuple[float, ...]  # per channel, subtracted from pixels in [0, 1]
    std: tuple[float, ...]  # that they are divided by then


# (source, fresh variables, model, inputs, say) -> variables
LoadWeights = Callable[[str, Any, nn.Module, Inputs, Say], Any]


def initial_state(
    programs: Programs, seed: int, weights: str, load_weights: LoadWeights | None, say: Say
) -> TrainState:
    """Returns the state before the first step, with the variables that `weights` names, if any.

    Raises UserError where they are wanted and `load_weights` is None or cannot give them.
    """
    with timed("initialising", say):
        state = programs.init(np.uint32(seed))
    if not weights:
        return state
    loaded = with_weights(programs.recipe, state, weights, load_weights, say)
    return jax.device_put(loaded, replicated(programs.mesh))


def with_weights(
    recipe: Recipe, state: TrainState, weights: str, load_weights: LoadWeights | None, say: Say
) -> TrainState:
    """Returns a state with the variables that `weights` names; UserError where none can be had."""
    if load_weights is None:
        raise UserError(
            f"config.finetune.weights={weights!r} needs someone to load it; pass load_weights to "
            "train_and_evaluate, or use python -m vitjax.main"
        )
    fresh = {"params": state.params, **state.model_state}
    inputs = Inputs(recipe.image_shape, recipe.mean, recipe.std)
    loaded = load_weights(weights, fresh, recipe.model, inputs, say)
    model_state = dict(loaded)
    params = model_state.pop("params")
    ema_params = state.ema_params
    if ema_params is not None:
        ema_params = jax.tree.map(jnp.copy, split(params, recipe.train_only)[0])
    return state.replace(params=params, model_state=model_state, ema_params=ema_params)
