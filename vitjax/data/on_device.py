"""Small data sets, whole, in the devices' memory."""

import math

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vitjax.data.dataset import Split


@flax.struct.dataclass
class DeviceSplit:
    """A split on the device: a row an image, one channel after another.

    A batch is then gathered row by row, where of [N, H, W, C] an accelerator would first copy all:
    it pads the last axis to 128.
    """

    pixels: jax.Array  # uint8 [N, C*H*W]
    labels: jax.Array  # int32 [N]
    image_shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)  # H, W, C

    def images(self, indices: jax.Array) -> jax.Array:
        """Returns images [B, H, W, C], uint8, of indices [B]; one past the end gives the last."""
        height, width, channels = self.image_shape
        rows = jnp.take(self.pixels, indices, axis=0, mode="clip")
        return rows.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


def put(split: Split, sharding: jax.sharding.Sharding) -> DeviceSplit:
    """Copies a split to the devices of `sharding`."""
    count, *image_shape = split.images.shape
    pixels = np.moveaxis(split.images, -1, 1).reshape(count, -1)
    data = DeviceSplit(pixels, split.labels, tuple(image_shape))  # type: ignore[arg-type]
    return jax.device_put(data, sharding)


def abstract_split(count: int, image_shape: tuple[int, int, int]) -> DeviceSplit:
    """Returns the shapes of a split of `count` images."""
    pixels = jax.ShapeDtypeStruct((count, math.prod(image_shape)), jnp.uint8)
    return DeviceSplit(pixels, jax.ShapeDtypeStruct((count,), jnp.int32), image_shape)  # type: ignore[arg-type]
