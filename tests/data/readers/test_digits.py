import numpy as np
import pytest

from vitjax import data


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_counts(digits):
    sizes = {name: len(split) for name, split in digits.splits.items()}
    assert sizes == {"train": 1259, "valid": 179, "test": 359}
    assert digits.image_shape == (8, 8, 1)
    assert digits.class_names == tuple("0123456789")


def test_scaled_exactly(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    split = digits.splits["valid"]
    index = [int(name.split("/")[1]) for name in split.ids]
    expected = np.round(source.images[index] * 255 / 16)
    np.testing.assert_array_equal(split.images[..., 0], expected)
    np.testing.assert_array_equal(split.labels, source.target[index])
    assert split.images.max() == 255


def test_disjoint_and_complete(digits):
    ids = np.concatenate([split.ids for split in digits.splits.values()])
    assert len(ids) == len(set(ids)) == 1797


def test_stratified(digits):
    for split in digits.splits.values():
        share = np.bincount(split.labels) / len(split)
        np.testing.assert_allclose(share, 0.1, atol=0.01)


def test_splits_ignore_the_options(digits):
    other = data.load("digits", valid_fraction=0.5, split_seed=7)
    for name, split in digits.splits.items():
        np.testing.assert_array_equal(split.ids, other.splits[name].ids)
