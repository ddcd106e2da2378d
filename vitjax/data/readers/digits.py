"""The handwritten digits that scikit-learn carries: real data without a download."""

import importlib.util
from pathlib import Path

import numpy as np

from vitjax.data.dataset import Dataset, Split, carve
from vitjax.data.readers.image_files import Wanted
from vitjax.errors import UserError


def read(wanted: Wanted) -> Dataset:
    """1,797 digits of 8x8x1 pixels in fixed, stratified 70/10/20 splits.

    Grays 0..16 are scaled to 0..255. Source: E. Alpaydin, C. Kaynak, UCI "Optical Recognition of
    Handwritten Digits" (https://doi.org/10.24432/C50P49).
    """
    del wanted
    grays, labels = np.split(_table(), [64], axis=1)
    images = np.round(grays * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    ids = np.array([f"digits/{i}" for i in range(len(images))])
    everything = Split(images, labels.ravel().astype(np.int32), ids)
    rest, test = carve(everything, 0.2, seed=0)
    train, valid = carve(rest, 0.125, seed=0)
    assert valid is not None
    assert test is not None
    names = tuple(str(i) for i in range(10))
    return Dataset("digits", names, {"train": train, "valid": valid, "test": test})


def _table() -> np.ndarray:
    """Returns 64 grays and the label of each digit, from scikit-learn's file.

    Importing scikit-learn to read it would take longer than compiling the model.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("config.data.name='digits' needs scikit-learn; pip install scikit-learn")
    folder = Path(spec.submodule_search_locations[0])
    return np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")
