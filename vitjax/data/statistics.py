"""What the images of a data set have in common, for normalizing them."""

import numpy as np

from vitjax.data.images import Images, in_slices

_SLICE_PIXELS = 2**22  # at a time: bincount makes eight bytes of each


def channel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation per channel of uint8 images [N, H, W, C], in [0, 1]."""
    levels = np.arange(256) / 255
    means, deviations = [], []
    counts = np.zeros((images.shape[-1], 256))
    size = max(1, _SLICE_PIXELS // (images.shape[1] * images.shape[2]))
    for part in in_slices(images, size):
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    for of_level in counts:
        mean = of_level @ levels / of_level.sum()
        means.append(float(mean))
        deviations.append(float(np.sqrt(of_level @ (levels - mean) ** 2 / of_level.sum())))
    return tuple(means), tuple(deviations)
