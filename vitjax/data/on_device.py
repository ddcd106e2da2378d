"""Small data sets, whole, in the devices' memory."""

from typing import NamedTuple

import jax
import numpy as np

from vitjax.data.dataset import Split


class Resident(NamedTuple):
    """A split on the device, as stored."""

    images: jax.Array  # uint8 [N, H, W, C]
    labels: jax.Array  # int32 [N]


def put(split: Split, sharding: jax.sharding.Sharding) -> Resident:
    """Copies a split to the devices of `sharding`."""
    return jax.device_put(Resident(split.images, split.labels), sharding)  # type: ignore[arg-type]


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of uint8 images [N, H, W, C], in [0, 1]."""
    levels = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        counts = np.zeros(256)
        for i in range(0, len(images), 1024):  # bincount makes eight bytes of each pixel
            counts += np.bincount(images[i : i + 1024, ..., channel].ravel(), minlength=256)
        mean = counts @ levels / counts.sum()
        means.append(float(mean))
        deviations.append(float(np.sqrt(counts @ (levels - mean) ** 2 / counts.sum())))
    return tuple(means), tuple(deviations)
