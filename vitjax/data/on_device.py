"""Images on the devices: whole splits, and batches that are brought there."""

import math
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vitjax.data.dataset import Dataset, Split
from vitjax.data.order import Order

_LANES = 128  # bytes in a row of what a TPU moves as one


@flax.struct.dataclass
class DeviceImages:
    """Images on the device: each is rows of 128 bytes, one channel after another, then zeros.

    A batch is then gathered as whole tiles of a TPU's memory. Of [N, H, W, C], whose last axis it
    would pad to 128, or of wide rows [N, C*H*W] it first copies the whole split.
    """

    pixels: jax.Array  # uint8 [..., R, 128]
    labels: jax.Array  # int32 [...]
    image_shape: tuple[int, int, int] = flax.struct.field(pytree_node=False)  # H, W, C

    def take(self, indices: jax.Array) -> "DeviceImages":
        """Returns the images at `indices` [B]; one past the end gives the last."""
        pixels = jnp.take(self.pixels, indices, axis=0, mode="clip")
        return self.replace(pixels=pixels, labels=self.labels[indices])  # type: ignore

    def images(self) -> jax.Array:
        """Returns [B] images as uint8 [B, H, W, C]."""
        height, width, channels = self.image_shape
        flat = self.pixels.reshape(len(self.pixels), -1)[:, : math.prod(self.image_shape)]
        return flat.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)


@flax.struct.dataclass
class AtRest:
    """An epoch's batches from a split that lies whole on each device."""

    split: DeviceImages  # [N]
    order: Order  # [S, B]
    first: Any  # int32, the step that the first batch is for

    def at(self, i: jax.Array, order: Order) -> DeviceImages:
        """Returns the images of batch `i`, whose order is `order` [B]."""
        del i
        return self.split.take(order.indices)


@flax.struct.dataclass
class Chunk:
    """Some of an epoch's batches, brought to the devices."""

    batches: DeviceImages  # [S, B]
    order: Order  # [S, B]
    first: Any  # int32, the step that the first batch is for

    def at(self, i: jax.Array, order: Order) -> DeviceImages:
        """Returns the images of batch `i`, whose order is `order` [B]."""
        del order
        return jax.tree.map(lambda x: x[i], self.batches)


Batches = AtRest | Chunk


def put(split: Split, sharding: jax.sharding.Sharding) -> DeviceImages:
    """Copies a split to the devices of `sharding`."""
    images = split.images[:]
    data = DeviceImages(to_rows(images), split.labels, images.shape[1:])  # type: ignore[arg-type]
    return jax.device_put(data, sharding)


def to_rows(images: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W, C] as they lie on a device, uint8 [N, R, 128]."""
    count, *image_shape = images.shape
    flat = np.moveaxis(images, -1, 1).reshape(count, -1)
    missing = num_rows(image_shape) * _LANES - flat.shape[1]
    return np.pad(flat, ((0, 0), (0, missing))).reshape(count, -1, _LANES)


def num_rows(image_shape: Sequence[int]) -> int:
    """Returns R, the rows of an image [H, W, C], a multiple of 8, or of 4 where so few hold it.

    With other numbers XLA lays a split out by rows on a TPU, and copies it before it gathers.
    """
    rows = -(-math.prod(image_shape) // _LANES)
    tile = 4 if rows <= 4 else 8
    return -(-rows // tile) * tile


def num_bytes(dataset: Dataset) -> int:
    """Returns what all images of a data set take on a device."""
    return sum(bytes_of(split) for split in dataset.splits.values())


def bytes_of(split: Split) -> int:
    """Returns what the images of a split take on a device."""
    return len(split) * image_bytes(split.images.shape[1:])


def image_bytes(image_shape: Sequence[int]) -> int:
    """Returns what an image [H, W, C] takes on a device."""
    return num_rows(image_shape) * _LANES


def abstract_images(shape: tuple[int, ...], image_shape: tuple[int, int, int]) -> DeviceImages:
    """Returns the shapes of [*shape] images [H, W, C]."""
    pixels = jax.ShapeDtypeStruct((*shape, num_rows(image_shape), _LANES), jnp.uint8)
    labels = jax.ShapeDtypeStruct(shape, jnp.int32)
    return DeviceImages(pixels, labels, image_shape)  # type: ignore[arg-type]
