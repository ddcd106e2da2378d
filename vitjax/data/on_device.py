"""Small data sets, whole, in the devices' memory."""

from typing import NamedTuple

import jax

from vitjax.data.dataset import Split


class DeviceSplit(NamedTuple):
    """A split on the device, as stored."""

    images: jax.Array  # uint8 [N, H, W, C]
    labels: jax.Array  # int32 [N]


def put(split: Split, sharding: jax.sharding.Sharding) -> DeviceSplit:
    """Copies a split to the devices of `sharding`."""
    return jax.device_put(DeviceSplit(split.images, split.labels), sharding)  # type: ignore[arg-type]
