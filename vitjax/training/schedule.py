"""Learning-rate schedules, as factors of the base rate."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vitjax.errors import UserError

Schedule = Callable[[Any], jax.Array]  # optimiser step -> learning rate

SCHEDULES = ("constant", "step", "cosine", "linear")


def make_schedule(
    name: str,
    *,
    learning_rate: float | jax.Array,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: float = 0.0,
    warmup_factor: float = 0.0,
    end_factor: float = 0.0,
    step_size: int = 1,
    gamma: float = 0.1,
    per_epoch: bool = False,
) -> Schedule:
    """Returns step -> learning rate.

    The factor rises linearly from `warmup_factor` to 1 over `warmup_epochs`. Then it is 1
    (constant), gamma ** (epoch // step_size) (step: torch's StepLR), or falls to `end_factor` at
    the last epoch's end along a cosine or a line. `per_epoch` changes it between epochs only. A
    warm-up longer than the run is cut short by its end. Raises UserError for an unknown name.
    """
    if name not in SCHEDULES:
        raise UserError(
            f"config.schedule.name={name!r} is unknown; choose from {', '.join(SCHEDULES)}"
        )
    falling_epochs = max(num_epochs - warmup_epochs, 1e-6)

    def schedule(step: jax.Array) -> jax.Array:
        """Step, from 0 -> the learning rate."""
        whole = step // steps_per_epoch
        epoch = whole if per_epoch else step / steps_per_epoch
        progress = jnp.clip((epoch - warmup_epochs) / falling_epochs, 0, 1)
        factor: jax.Array | float = 1.0
        if name == "step":
            factor = gamma ** (whole // step_size).astype(jnp.float32)
        elif name == "cosine":
            factor = end_factor + (1 - end_factor) * (1 + jnp.cos(jnp.pi * progress)) / 2
        elif name == "linear":
            factor = 1 - (1 - end_factor) * progress
        if warmup_epochs:
            rise = warmup_factor + (1 - warmup_factor) * epoch / warmup_epochs
            factor = jnp.where(epoch < warmup_epochs, rise, factor)
        return learning_rate * jnp.asarray(factor, jnp.float32)

    return schedule
