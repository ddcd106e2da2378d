"""The handwritten digits that scikit-learn carries: real data without a download."""

import numpy as np

from vitjax.data.dataset import Dataset, Split, carve


def read() -> Dataset:
    """1,797 digits of 8x8x1 pixels in fixed, stratified 70/10/20 splits.

    Grays 0..16 are scaled to 0..255. Source: E. Alpaydin, C. Kaynak, UCI "Optical Recognition of
    Handwritten Digits" (https://doi.org/10.24432/C50P49).
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.round(source.images * 255 / 16).astype(np.uint8)[..., None]
    ids = np.array([f"digits/{i}" for i in range(len(images))])
    everything = Split(images, source.target.astype(np.int32), ids)
    rest, test = carve(everything, 0.2, seed=0)
    train, valid = carve(rest, 0.125, seed=0)
    assert valid is not None
    assert test is not None
    names = tuple(str(i) for i in range(10))
    return Dataset("digits", names, {"train": train, "valid": valid, "test": test})
