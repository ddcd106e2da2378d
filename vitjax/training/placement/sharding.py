"""Where arrays lie, on the devices of one process or of several through `jax.distributed`.

A run splits its batches over all devices, and with `fsdp` its large parameters, their averages and
the optimiser's state too; a sweep splits its members. The rest is whole on each device.
"""

import contextlib
import math
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitjax.errors import UserError
from vitjax.machine.host import num_cores

_BATCH = PartitionSpec(("data", "fsdp"))
# Elements. Of fewer devices would wait for a gather to begin longer than for its bytes (256 KiB,
# which a TPU's links send in 1.3 us), and nothing is saved: of a ViT-B's parameters 0.14 %.
_WHOLE_BELOW = 2**16


def make_mesh(devices: Sequence[jax.Device] | None = None, *, data: int = 0, fsdp: int = 1) -> Mesh:
    """Returns a run's mesh of `devices` (default: all, of every process), `data` x `fsdp`.

    Batches are split over both axes, parameters over the neighbours along `fsdp`. `data` of 0 takes
    the devices that `fsdp` leaves. Raises UserError unless both make up all devices.
    """
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    if fsdp < 1 or (data or count // fsdp) * fsdp != count:
        fitting = [(count // n, n) for n in range(1, count + 1) if count % n == 0]
        raise UserError(
            f"config.mesh.data={data} and config.mesh.fsdp={fsdp} do not make up {count} device(s);"
            f" (data, fsdp) that do: {', '.join(map(str, fitting))}, and data=0 takes what fsdp "
            "leaves"
        )
    return Mesh(np.asarray(devices).reshape(-1, fsdp), ("data", "fsdp"))


def member_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Returns a sweep's mesh of `devices` (default: all), whose axis splits its members."""
    return Mesh(np.asarray(devices or jax.devices()), ("member",))


def data_shards(mesh: Mesh) -> int:
    """Returns how many devices share a batch."""
    return mesh.shape.get("data", 1) * num_parts(mesh)


def num_parts(mesh: Mesh) -> int:
    """Returns how many parts large parameters are split into."""
    return mesh.shape.get("fsdp", 1)


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of small arrays and of data: whole on each device."""
    return NamedSharding(mesh, PartitionSpec())


def of_batches(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of batches: their first axis split over a run's devices."""
    return NamedSharding(mesh, _BATCH)


def of_chunks(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of several batches [S, B, ...]: each split as `split_batch` does."""
    spec = PartitionSpec(None, *_BATCH) if "data" in mesh.shape else PartitionSpec()
    return NamedSharding(mesh, spec)


def split_batch(mesh: Mesh, batch: Any) -> Any:
    """Inside a compiled function: splits the first axis of every array over a run's devices."""
    if "data" not in mesh.shape:
        return batch
    return jax.lax.with_sharding_constraint(batch, of_batches(mesh))


def partition(shape: tuple[int, ...], parts: int) -> PartitionSpec:
    """Returns how a parameter, its average or what an optimiser keeps of it is split over `fsdp`.

    Along the largest axis that `parts` divides; the last, which a TPU pads to 128, only if no
    other can be.
    """
    axes = [axis for axis, side in enumerate(shape) if side % parts == 0]
    if parts == 1 or not axes or math.prod(shape) < _WHOLE_BELOW:
        return PartitionSpec()
    axis = max(axes, key=lambda axis: (axis < len(shape) - 1, shape[axis]))
    return PartitionSpec(*[None] * axis, "fsdp")


def placement(mesh: Mesh, tree: Any) -> Any:
    """Returns the shardings of a state, or of a part of it, by the shapes of its arrays."""
    return jax.tree.map(lambda x: NamedSharding(mesh, partition(x.shape, num_parts(mesh))), tree)


def placed(mesh: Mesh, tree: Any) -> Any:
    """Returns the shapes of a state, or of a part of it, with their shardings."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        tree,
        placement(mesh, tree),
    )


def in_parts(mesh: Mesh, tree: Any) -> Any:
    """Inside a compiled function: leaves of a state, or of a part of it, in its parts."""
    if num_parts(mesh) == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, placement(mesh, tree))


def whole(mesh: Mesh, params: Any, dtype: Any) -> Any:
    """Inside a compiled function: gathers parameters to be used; their gradients are in parts.

    Else XLA might split what is computed with them along other axes than the batch's. The split
    ones are sent in `dtype`, which the model computes with them in.
    """
    if num_parts(mesh) == 1:
        return params

    def gather_one(x: jax.Array) -> jax.Array:
        """Returns an array whole on every device, cast before it travels."""
        is_split = partition(x.shape, num_parts(mesh)) != PartitionSpec()
        parts = in_parts(mesh, x.astype(dtype) if is_split else x)
        return jax.lax.with_sharding_constraint(parts, replicated(mesh))

    return jax.tree.map(gather_one, params)


def check_batch_size(batch_size: int, accumulation_steps: int, shards: int) -> None:
    """Raises UserError unless the batch splits evenly over `shards` devices and micro-batches."""
    parts = max(accumulation_steps, 1) * shards
    if batch_size >= 1 and accumulation_steps >= 1 and batch_size % parts == 0:
        return
    raise UserError(
        f"config.data.batch_size={batch_size} is not divisible by {shards} device(s) times "
        f"config.optim.accumulation_steps={accumulation_steps}; nearest that fit: "
        f"{nearest_multiples(batch_size, parts)}"
    )


def nearest_multiples(number: int, of: int) -> str:
    """Returns the multiples below and above a number, in words."""
    below = number // of * of
    return f"{below} or {below + of}" if below > 0 else f"{of}"


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
