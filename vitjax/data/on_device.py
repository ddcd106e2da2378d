"""Small data sets, whole, in the devices' memory."""

import math
from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vitjax.data.dataset import Split

_LANES = 128  # bytes in a row of what a TPU moves as one


@flax.struct.dataclass
class DeviceSplit:
    """A split on the device: an image is rows of 128 bytes, one channel after another, then zeros.

    A batch is then gathered as whole tiles of a TPU's memory. Of [N, H, W, C], whose last axis it
    would pad to 128, or of wide rows [N, C*H*W] it first copies the whole split.
    """

    pixels: jax.Array  # uint8 [N, R, 128]
    labels: jax.Array  # int32 [N]
    image_shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)  # H, W, C

    def images(self, indices: jax.Array) -> jax.Array:
        """Returns images [B, H, W, C], uint8, of indices [B]; one past the end gives the last."""
        height, width, channels = self.image_shape
        rows = jnp.take(self.pixels, indices, axis=0, mode="clip")
        flat = rows.reshape(len(indices), -1)[:, : math.prod(self.image_shape)]
        return flat.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


def put(split: Split, sharding: jax.sharding.Sharding) -> DeviceSplit:
    """Copies a split to the devices of `sharding`."""
    count, *image_shape = split.images.shape
    flat = np.moveaxis(split.images, -1, 1).reshape(count, -1)
    missing = _num_rows(image_shape) * _LANES - flat.shape[1]
    pixels = np.pad(flat, ((0, 0), (0, missing))).reshape(count, -1, _LANES)
    data = DeviceSplit(pixels, split.labels, tuple(image_shape))  # type: ignore[arg-type]
    return jax.device_put(data, sharding)


def abstract_split(count: int, image_shape: tuple[int, int, int]) -> DeviceSplit:
    """Returns the shapes of a split of `count` images."""
    pixels = jax.ShapeDtypeStruct((count, _num_rows(image_shape), _LANES), jnp.uint8)
    labels = jax.ShapeDtypeStruct((count,), jnp.int32)
    return DeviceSplit(pixels, labels, image_shape)  # type: ignore[arg-type]


def _num_rows(image_shape: Sequence[int]) -> int:
    return -(-math.prod(image_shape) // _LANES)
