"""What the images of a data set have in common, for normalizing them."""

import math

import numpy as np

from vitjax.data.images import Images, in_slices

_SLICE_PIXELS = 2**22  # at a time: bincount makes eight bytes of each


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of uint8 images [N, H, W, C], in [0, 1].

    To the last bit on any machine: whole numbers are summed, where libraries of linear algebra
    round in an order that depends on the kind of CPU.
    """
    counts = np.zeros((images.shape[-1], 256), np.int64)
    size = max(1, _SLICE_PIXELS // (images.shape[1] * images.shape[2]))
    for part in in_slices(images, size):
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    means, deviations = zip(*(_moments(of_level) for of_level in counts.tolist()), strict=True)
    return means, deviations


def _moments(counts: list[int]) -> tuple[float, float]:
    """Returns mean and standard deviation of levels of which there are so many, over 255."""
    number = sum(counts)
    total = sum(level * count for level, count in enumerate(counts))
    squares = sum(level**2 * count for level, count in enumerate(counts))
    variance = (number * squares - total**2) / (number * 255) ** 2
    return total / (number * 255), math.sqrt(variance)
