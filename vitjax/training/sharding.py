"""Where arrays lie: batches are split over the devices, all else is on each of them."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """Returns a mesh of `devices` (default: all, of every process) with the one axis `data`."""
    return Mesh(np.asarray(devices or jax.devices()), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of parameters and resident data: whole on each device."""
    return NamedSharding(mesh, PartitionSpec())


def split_batch(mesh: Mesh, batch: Any) -> Any:
    """Inside a compiled function: splits the first axis of every array over the devices."""
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec("data")))


def check_batch_size(batch_size: int, accumulation_steps: int, mesh: Mesh) -> None:
    """Raises ValueError unless the batch splits evenly over devices and micro-batches."""
    parts = accumulation_steps * mesh.size
    if batch_size < 1 or accumulation_steps < 1 or batch_size % parts:
        raise ValueError(
            f"config.data.batch_size={batch_size} is not divisible by {mesh.size} device(s) times "
            f"config.optim.accumulation_steps={accumulation_steps}; change one of them"
        )
