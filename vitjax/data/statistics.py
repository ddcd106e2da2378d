"""What the images of a data set have in common, for normalizing them."""

import numpy as np


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
