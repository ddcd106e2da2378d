import dataclasses

import numpy as np
import pytest

from vitjax.data.dataset import Dataset, Split, carve, check
from vitjax.data.images import ChosenImages
from vitjax.errors import UserError


def make_split(labels, shape=(4, 4, 1), name="train"):
    labels = np.array(labels, np.int32)
    images = np.zeros((len(labels), *shape), np.uint8)
    return Split(images, labels, np.array([f"{name}/{i}" for i in range(len(labels))], str))


def make(train=None, names=("a", "b"), **splits):
    return Dataset("toy", names, {"train": train or make_split([0, 1, 0]), **splits})


def test_accepts_a_good_set():
    assert check(make(test=make_split([1, 0]))) is None


def test_properties():
    dataset = make(make_split([0, 1], shape=(5, 6, 3)))
    assert (dataset.num_classes, dataset.image_shape) == (2, (5, 6, 3))


def test_a_digest_tells_labels_and_files():
    split = make_split([0, 0, 1])
    assert make_split([0, 0, 1]).digest() == split.digest()
    assert make_split([0, 1, 0]).digest() != split.digest()
    other_files = dataclasses.replace(split, ids=np.array(["train/0", "train/1", "\udcff"], str))
    assert other_files.digest() != split.digest()


def test_a_digest_of_pixels_tells_images_however_they_are_stored():
    split = make_split([0] * 1000)
    split.images[:] = np.arange(1000)[:, None, None, None] % 251
    changed = split.images.copy()
    changed[:, 0, 0, 0] += 1
    stored = ChosenImages(split.images, np.arange(1000))
    digests = [
        dataclasses.replace(split, images=images).digest_of_pixels
        for images in (split.images, stored, changed)
    ]
    assert digests[0] == digests[1]
    assert digests[2] != digests[0]


BAD = {
    "split 'valid' must": (dict(val=make_split([0])), "has the splits .*'val'"),
    "one class": (dict(names=("a",)), "1 class .*label_column"),
    "repeated name": (dict(names=("a", "a")), "repeated class names"),
    "empty": (dict(valid=make_split([])), "toy/valid is empty"),
    "shape": (dict(test=make_split([0], (4, 5, 1))), r"toy/test .*\(4, 5, 1\).*image_size"),
    "channels": (
        dict(train=make_split([0, 1], (4, 4, 2))),
        "1 or 3 channels.*config.data.channels",
    ),
    "no pixels": (
        dict(train=make_split([0, 1], (0, 4, 1))),
        r"toy/train has images of shape \[0, 4, 1\], without a pixel",
    ),
    "range": (
        dict(train=make_split([0, 1, 2, -1])),
        "2 labels outside 0..1: train/2 has 2, train/3",
    ),
    "dtype of images": (
        dict(test=dataclasses.replace(make_split([0]), images=np.zeros((1, 4, 4, 1)))),
        "float64 .*expected uint8",
    ),
    "dtype of labels": (
        dict(test=dataclasses.replace(make_split([0]), labels=np.zeros(1))),
        "float64 .*expected int32",
    ),
    "lengths": (
        dict(test=dataclasses.replace(make_split([0]), ids=np.array(["a", "b"]))),
        "1 images, 1 labels and 2 ids",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_says_what_is_wrong_in_one_line(case):
    options, message = BAD[case]
    with pytest.raises(UserError, match=message) as error:
        check(make(**options))
    assert "\n" not in str(error.value)


def test_carve_is_stratified():
    train = make_split([0] * 100 + [1] * 50 + [2] * 7)
    rest, valid = carve(train, 0.1, seed=3)
    assert np.bincount(valid.labels).tolist() == [10, 5, 1]
    assert np.bincount(rest.labels).tolist() == [90, 45, 6]


def test_carve_parts_the_examples():
    train = make_split(np.arange(60) % 3)
    rest, valid = carve(train, 0.25, seed=0)
    assert sorted([*rest.ids, *valid.ids]) == sorted(train.ids)


def test_carve_depends_on_the_seed_alone():
    train = make_split(np.arange(60) % 3)
    first, again, other = (carve(train, 0.2, seed)[1].ids.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_carve_numbers_are_fixed_for_ever():
    train = make_split([0, 1] * 5)
    assert carve(train, 0.4, seed=0)[1].ids.tolist() == ["train/1", "train/2", "train/8", "train/9"]


def test_carve_never_empties_a_class():
    rest, _ = carve(make_split([0, 1, 1]), 0.99, seed=0)
    assert set(rest.labels) == {0, 1}


def test_carve_of_nothing():
    train = make_split([0, 1])
    assert carve(train, 0.0, seed=0) == (train, None)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_carve_rejects_fraction(fraction):
    with pytest.raises(UserError, match=r"0 <= valid_fraction < 1.*config\.data\.valid_fraction"):
        carve(make_split([0, 1]), fraction, seed=0)


def test_carve_rejects_seed():
    with pytest.raises(UserError, match=r"split_seed=-1.*config\.data\.split_seed"):
        carve(make_split([0, 1]), 0.1, seed=-1)
