"""What the images of a data set have in common, for normalizing them."""

import numpy as np

from vitjax.data.images import Images, in_slices

_SLICE = 1024  # images at a time: bincount makes eight bytes of each pixel


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of uint8 images [N, H, W, C], in [0, 1]."""
    levels = np.arange(256) / 255
    means, deviations = [], []
    counts = np.zeros((images.shape[-1], 256))
    for part in in_slices(images, _SLICE):
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    for of_level in counts:
        mean = of_level @ levels / of_level.sum()
        means.append(float(mean))
        deviations.append(float(np.sqrt(of_level @ (levels - mean) ** 2 / of_level.sum())))
    return tuple(means), tuple(deviations)
