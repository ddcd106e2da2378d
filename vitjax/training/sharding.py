"""Where arrays lie, on the devices of one process or of several through `jax.distributed`.

Batches, or members of a sweep, are split over the devices; the rest is whole on each.
"""

import contextlib
import os
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitjax.errors import UserError
from vitjax.host import num_cores


def make_mesh(devices: list[jax.Device] | None = None, axis: str = "data") -> Mesh:
    """Returns a mesh of `devices` (default: all, of every process) with one axis.

    Over `data` it splits batches; over `member` it splits the members of a sweep.
    """
    return Mesh(np.asarray(devices or jax.devices()), (axis,))


def data_shards(mesh: Mesh) -> int:
    """Returns how many devices share a batch."""
    return mesh.shape.get("data", 1)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of parameters and data: whole on each device."""
    return NamedSharding(mesh, PartitionSpec())


def split_in_chunks(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of several batches [S, B, ...]: each split as `split_batch` does."""
    spec = PartitionSpec(None, "data") if "data" in mesh.shape else PartitionSpec()
    return NamedSharding(mesh, spec)


def split_batch(mesh: Mesh, batch: Any) -> Any:
    """Inside a compiled function: splits the first axis of every array over the axis `data`."""
    if "data" not in mesh.shape:
        return batch
    return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec("data")))


def check_batch_size(batch_size: int, accumulation_steps: int, mesh: Mesh) -> None:
    """Raises UserError unless the batch splits evenly over devices and micro-batches."""
    shards = data_shards(mesh)
    parts = accumulation_steps * shards
    if batch_size < 1 or accumulation_steps < 1 or batch_size % parts:
        raise UserError(
            f"config.data.batch_size={batch_size} is not divisible by {shards} device(s) times "
            f"config.optim.accumulation_steps={accumulation_steps}; change one of them"
        )


def gather(tree: Any) -> Any:
    """Returns arrays that are split over the devices of all processes, whole, as NumPy."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def local_members(tree: Any) -> dict[int, Any]:
    """Returns the members of a tree of [K, ...] on this process's devices: place -> tree, NumPy."""
    leaves, structure = jax.tree.flatten(tree)
    blocks = [
        {shard.index[0].start or 0: np.asarray(shard.data) for shard in leaf.addressable_shards}
        for leaf in leaves
    ]
    return {
        start + i: jax.tree.unflatten(structure, [np.asarray(block[start][i]) for block in blocks])
        for start, first in blocks[0].items()
        for i in range(len(first))
    }


def device_per_core() -> None:
    """Takes a CPU as one device per core, unless told otherwise or JAX has begun already."""
    given = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not given and "JAX_NUM_CPU_DEVICES" not in os.environ:
        with contextlib.suppress(RuntimeError):  # JAX has its devices
            jax.config.update("jax_num_cpu_devices", num_cores())
