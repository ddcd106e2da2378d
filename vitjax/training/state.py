"""All that training changes, and so all that a checkpoint holds."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from vitjax.data import order
from vitjax.training.metrics import Metrics


class TrainState(flax.struct.PyTreeNode):
    """What one step hands to the next."""

    step: jax.Array  # optimiser steps done, int32
    params: Any  # float32
    opt_state: Any
    ema_params: Any  # averaged parameters, or None
    metrics: Metrics  # over the epoch so far

    @property
    def eval_params(self) -> Any:
        """The parameters to evaluate with."""
        return self.params if self.ema_params is None else self.ema_params


def init_state(
    model: nn.Module,
    tx: optax.GradientTransformation,
    seed: jax.Array,
    image_shape: tuple[int, int, int],
    *,
    ema: bool,
) -> TrainState:
    """Returns the state before the first step, for images [H, W, C]."""
    images = jnp.zeros((1, *image_shape))
    params = model.init(order.init_key(seed), images)["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=tx.init(params),
        ema_params=jax.tree.map(jnp.copy, params) if ema else None,
        metrics=Metrics.zero(),
    )
