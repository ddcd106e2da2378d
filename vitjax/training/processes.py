"""Several processes as one: what each must know of the others, through `jax.distributed`."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def gather(tree: Any) -> Any:
    """Returns arrays that are split over the devices of all processes, whole, as NumPy."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def all_of(number: int) -> list[int]:
    """Returns the number that each process gave."""
    if jax.process_count() == 1:
        return [number]
    found = multihost_utils.process_allgather(np.asarray([number], np.int32), tiled=True)
    return [int(each) for each in found]


def wait_for_all(where: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


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
