"""Random images: zeros would flatter sparse and branching code."""

import numpy as np

from vitjax.benchmarking.cases import Case


def random_split(case: Case, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` random images uint8 [N, H, W, C] and labels int32 [N]."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, *case.image_shape), np.uint8)
    return images, random.integers(0, case.num_classes, count, np.int32)
