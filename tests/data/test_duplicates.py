"""Images that are there twice."""

import dataclasses

import numpy as np
import pytest
from commands import main
from PIL import Image

from vitjax import data
from vitjax.data import duplicates
from vitjax.data.dataset import Dataset, Split

rng = np.random.default_rng(0)


def dataset_of(train, test, train_labels=None, test_labels=None):
    splits = {}
    for name, images, labels in (("train", train, train_labels), ("test", test, test_labels)):
        ids = np.array([f"{name}/{i}" for i in range(len(images))])
        labels = np.zeros(len(images), np.int32) if labels is None else np.array(labels, np.int32)
        splits[name] = Split(images, labels, ids)
    return Dataset("made_up", ("cat", "dog"), splits)


def noise(count, shape=(6, 6, 3)):
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8)


def test_nothing_is_said_where_all_images_differ():
    assert duplicates.warnings(dataset_of(noise(50), noise(20))) == []


def test_images_of_test_in_train_are_counted():
    train, test = noise(50), noise(20)
    test[3], test[7] = train[40], train[40]
    assert duplicates.warnings(dataset_of(train, test)) == [
        "2 of 20 images of test are in train too (test/3 = train/40, test/7 = train/40)"
    ]


def test_a_test_split_that_is_train_is_called_a_copy():
    images = noise(20)
    (text,) = duplicates.warnings(dataset_of(images, images[::-1].copy()))
    assert text.startswith("20 of 20 images of test are in train too: one may be a copy of the")
    assert text.endswith("(test/19 = train/0, test/18 = train/1, test/17 = train/2, and 17 more)")


def test_images_under_two_labels_are_counted_wherever_they_are():
    train, test = noise(10), noise(5)
    train[4] = train[9]
    found = duplicates.warnings(dataset_of(train, test, [0] * 9 + [1]))
    assert found == ["1 image is there under several labels (train/4 (cat) = train/9 (dog))"]


def test_repeats_within_train_alone_are_no_matter_of_a_run():
    train = noise(10)
    train[4] = train[9]
    assert duplicates.warnings(dataset_of(train, noise(5))) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("caf\u00e9", "cafe\u0301"), r"'caf\xe9' = 'cafe\u0301'"),
        (("cat", "cat\u200b"), r"'cat' = 'cat\u200b'"),
        (("big cat", "big\u00a0cat"), r"'big cat' = 'big\xa0cat'"),
        (("big cat", "big  cat"), "'big cat' = 'big  cat'"),
    ],
)
def test_classes_whose_names_look_alike_are_told(names, told):
    dataset = dataclasses.replace(dataset_of(noise(5), noise(5)), class_names=(*names, "Cat"))
    assert duplicates.warnings(dataset) == [
        f"2 of 3 classes have names that look alike ({told}); write them in one way if they are one"
    ]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (5, 5, 3), (28, 28, 1), (40, 40, 3)])
def test_keys_are_equal_where_images_are_and_differ_in_any_single_pixel(shape):
    one = noise(1, shape)[0]
    others = np.repeat(one[None], one.size, axis=0)
    for i, image in enumerate(others):
        image.flat[i] ^= 1
    splits = {"train": np.stack([one, *others]), "test": one[None].copy()}
    keys = duplicates.keys_at_rest(splits)
    assert duplicates.repeats(keys).groups == [[("train", 0), ("test", 0)]]


@pytest.mark.slow
def test_keys_of_cifar100_are_as_good_as_hashes_of_whole_images(real_data):
    splits = data.load("cifar100", data_dir=str(real_data("tfds"))).splits
    images = {name: split.images for name, split in splits.items()}
    whole = {
        name: np.array([duplicates.key(image) for image in of], np.uint64)
        for name, of in images.items()
    }
    found = duplicates.repeats(duplicates.keys_at_rest(images))
    assert found == duplicates.repeats(whole)
    assert len(found.shared("test", "train")) == 10


@pytest.fixture
def listed_twice(tmp_path):
    """A folder whose train.csv and test.csv list the same images."""
    lines = ["path,label"]
    for i in range(64):
        Image.fromarray(noise(1, (8, 8, 3))[0]).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'cat' if i % 2 else 'dog'}")
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text("\n".join(lines))
    return tmp_path


WARNINGS = {
    "never": "warning   64 of 64 images of test are in train too: one may be a copy of the other",
    "always": "warning   64 of 64 images of test are listed in train too",
}


@pytest.mark.slow
@pytest.mark.parametrize("stream", WARNINGS)
def test_a_run_warns(listed_twice, tmp_path, stream):
    out, _ = main(
        *("--config=configs/vit_digits.py:debug", "--config.data.name=csv"),
        *(f"--config.data.data_dir={listed_twice}", f"--workdir={tmp_path}/run"),
        *("--config.data.image_size=8", f"--config.data.stream={stream}"),
        *("--config.model.patch_size=4", "--config.num_epochs=1", "--config.data.valid_fraction=0"),
    )
    assert WARNINGS[stream] in out


@pytest.mark.slow
def test_a_sweep_warns_once(listed_twice, tmp_path):
    out, _ = main(
        *("--config=configs/vit_digits.py:debug", "--config.data.name=csv", "--grid=seed=0,1"),
        *(f"--config.data.data_dir={listed_twice}", f"--workdir={tmp_path}/sweep"),
        *("--config.data.image_size=8", "--config.model.patch_size=4", "--config.num_epochs=1"),
        module="vitjax.sweep",
    )
    assert out.count("warning   ") == 1
