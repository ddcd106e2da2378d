"""All that training changes, and so all that a checkpoint holds."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from vitjax.data import order
from vitjax.runs.weights import merge
from vitjax.training.finetune import split
from vitjax.training.metrics import Metrics, StepSums


class TrainState(flax.struct.PyTreeNode):
    """What one step hands to the next."""

    step: jax.Array  # optimiser steps done, int32
    params: Any  # float32
    model_state: Any  # what the model keeps besides: {"batch_stats": ...}, or {}
    opt_state: Any  # of the parameters that learn
    ema_params: Any  # averages of the parameters that learn, or None
    metrics: Metrics  # over the epoch so far
    sums: StepSums  # over the epoch so far
    skipped: jax.Array | None = None  # steps left out in a row up to here; None: none may be

    @property
    def variables(self) -> Any:
        """What to evaluate the model with."""
        params = self.params if self.ema_params is None else merge(self.params, self.ema_params)
        return {"params": params, **self.model_state}


def init_state(
    model: nn.Module,
    tx: optax.GradientTransformation,
    seed: jax.Array,
    image_shape: tuple[int, int, int],
    *,
    train_only: str,
    ema: bool,
    counts_skipped: bool = False,
) -> TrainState:
    """Returns the state before the first step, for images [H, W, C]."""
    model_state = dict(model.init(order.init_key(seed), jnp.zeros((1, *image_shape))))
    params = model_state.pop("params")
    learning, _ = split(params, train_only)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=tx.init(learning),
        ema_params=jax.tree.map(jnp.copy, learning) if ema else None,
        metrics=Metrics.zero(),
        sums=StepSums.zero(),
        skipped=jnp.zeros((), jnp.int32) if counts_skipped else None,
    )


def with_variables(state: TrainState, variables: Any, train_only: str) -> TrainState:
    """Returns a state before the first step with other variables, {"params": ..., ...}."""
    model_state = dict(variables)
    params = model_state.pop("params")
    ema_params = state.ema_params
    if ema_params is not None:
        ema_params = jax.tree.map(jnp.copy, split(params, train_only)[0])
    return state.replace(params=params, model_state=model_state, ema_params=ema_params)
