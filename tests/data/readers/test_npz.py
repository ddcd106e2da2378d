import re

import numpy as np
import pytest

from vitjax.data import load
from vitjax.data.readers import npz
from vitjax.data.readers.image_files import Wanted
from vitjax.errors import UserError

IMAGES = np.arange(4 * 5 * 5, dtype=np.uint8).reshape(4, 5, 5)
LABELS = np.array([0, 1, 2, 1])


def read(path):
    return npz.read(Wanted("npz", path))


def save(tmp_path, **arrays):
    np.savez(tmp_path / "toy.npz", **arrays)
    return str(tmp_path / "toy.npz")


def test_reads_our_keys(tmp_path):
    path = save(
        tmp_path,
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES[:2],
        test_labels=LABELS[:2],
    )  # options: skip
    dataset = read(path)
    assert dataset.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(dataset.splits["train"].images[..., 0], IMAGES)
    assert dataset.splits["test"].labels.tolist() == [0, 1]
    assert dataset.splits["test"].ids.tolist() == ["test/0", "test/1"]


def test_reads_keras_keys_with_a_column_of_labels(tmp_path):
    colour = np.repeat(IMAGES[..., None], 3, axis=3)
    dataset = read(save(tmp_path, x_train=colour, y_train=LABELS[:, None]))
    assert dataset.image_shape == (5, 5, 3)
    assert dataset.splits["train"].labels.tolist() == LABELS.tolist()
    assert dataset.splits["train"].labels.dtype == np.int32


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("valid_images", "valid_labels"),
        ("val_images", "val_labels"),
        ("x_valid", "y_valid"),
        ("x_val", "y_val"),
    ],
)
def test_names_of_validation(tmp_path, images, labels):
    valid = {images: IMAGES[:3], labels: LABELS[:3]}
    dataset = read(save(tmp_path, x_train=IMAGES, y_train=LABELS, **valid))
    assert dataset.splits["valid"].ids.tolist() == ["valid/0", "valid/1", "valid/2"]


@pytest.mark.parametrize("names", [["cat", "dog", "käfer"], [b"cat", b"dog", "käfer".encode()]])
def test_class_names(tmp_path, names):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, class_names=names)
    assert read(path).class_names == ("cat", "dog", "käfer")


def test_class_names_in_another_encoding(tmp_path):
    names = np.array(["cat", "dog", "käfer"])
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, class_names=np.char.encode(names, "l1"))
    with pytest.raises(UserError, match=r"class_names entry b'k\\xe4fer', which is no UTF-8"):
        read(path)


def test_a_split_that_is_there_under_both_spellings(tmp_path):
    path = save(
        tmp_path, train_images=IMAGES, train_labels=LABELS, x_train=IMAGES[:2], y_train=LABELS[:2]
    )
    with pytest.raises(UserError, match="holds both train_images and x_train, expected one; write"):
        read(path)
    train = {"train_images": IMAGES, "train_labels": LABELS}
    valid = {f"{name}_val": array for name, array in (("x", IMAGES), ("y", LABELS))}
    path = save(tmp_path, **train, val_images=IMAGES, val_labels=LABELS, **valid)
    with pytest.raises(UserError, match="holds both val_images and x_val, expected one; write"):
        read(path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES / 255, LABELS, r"float64, expected uint8; .*\* 255\.0\)\.round"),
        (IMAGES > 9, LABELS, r"bool, expected uint8; .*\* 255\.0\)\.round"),
        (IMAGES.astype(int), LABELS, r"int64, expected uint8; .*x_train\.astype"),
        (IMAGES.reshape(4, 25), LABELS, r"\[4, 25\], expected \[N, H, W\]"),
        (IMAGES, LABELS.astype(float), "float64 .*expected integers"),
        (IMAGES, np.eye(3, dtype=int)[LABELS], r"\[4, 3\].*argmax"),
        (IMAGES, np.array(1), r"\[\], expected integers"),
        (IMAGES, LABELS[:3], "4 entries and y_train 3"),
        (IMAGES, np.array([0, 1, None, 2]), "no .npz file of numbers"),
    ],
)
def test_says_how_to_convert(tmp_path, images, labels, message):
    with pytest.raises(UserError, match=message):
        read(save(tmp_path, x_train=images, y_train=labels))


def test_other_keys(tmp_path):
    with pytest.raises(UserError, match=r"holds the arrays \['pictures'\], expected train_images"):
        read(save(tmp_path, pictures=IMAGES))


def test_half_a_split(tmp_path):
    with pytest.raises(UserError, match="only one of x_test and y_test"):
        read(save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES))


@pytest.mark.parametrize("keep", [0, 30, 300])
def test_damaged(tmp_path, keep):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS)
    with open(path, "r+b") as file:
        file.truncate(keep)
    with pytest.raises(UserError, match=r"toy\.npz is damaged"):
        read(path)


def test_flipped_byte(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS)
    with open(path, "r+b") as file:
        file.seek(200)  # inside the first array
        file.write(b"\xff\x00\xff")
    with pytest.raises(UserError, match=r"toy\.npz is damaged"):
        read(path)


@pytest.mark.parametrize(
    ("local", "central", "value", "reason"),
    [(6, 8, 1, "is encrypted"), (8, 10, 99, "compression method is not supported")],
)
def test_a_zip_of_another_kind(tmp_path, local, central, value, reason):
    path = tmp_path / "toy.npz"
    save(tmp_path, x_train=IMAGES, y_train=LABELS)
    content = bytearray(path.read_bytes())
    for mark, offset in (
        (b"PK\x03\x04", local),
        (b"PK\x01\x02", central),
    ):  # both headers of a file
        for found in re.finditer(mark, bytes(content)):
            content[found.start() + offset] = value
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"toy\.npz is damaged .*{reason}"):
        read(str(path))


@pytest.mark.parametrize("path", [None, "/nowhere/toy.npz"])
def test_missing(path):
    with pytest.raises(UserError, match=r"config\.data\.data_dir"):
        read(path)


@pytest.mark.parametrize("label", [2**40, 2**31, -1])
def test_labels_that_int32_cannot_hold(tmp_path, label):
    path = save(tmp_path, x_train=IMAGES, y_train=np.array([0, 1, label, 1], np.int64))
    with pytest.raises(UserError, match=rf"y_train has 1 labels .* the first {label} at index 2"):
        read(path)


def test_a_stray_label_makes_no_million_classes(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=np.array([0, 1, 10**6, 1]))
    with pytest.raises(UserError, match=r"labels up to 1,000,000 but images of 3 classes alone"):
        read(path)


def test_a_class_without_images_may_have_a_name(tmp_path):
    labels = np.array([0, 2, 2, 0])
    path = save(tmp_path, x_train=IMAGES, y_train=labels, class_names=["cat", "dog", "cow"])
    assert read(path).splits["train"].labels.tolist() == [0, 2, 2, 0]


@pytest.mark.parametrize(
    ("splits", "valid_fraction", "needed"),  # in the size of train
    [
        (("train",), 0.1, 3),
        (("train",), 0.0, 2),
        (("train", "valid"), 0.1, 3),
        (("train", "test"), 0.1, 3),
        (("train", "test"), 0.0, 2),
        (("train", "valid", "test"), 0.1, 3),
    ],
)
def test_room_for_what_is_taken_out_of_train(splits, valid_fraction, needed, tmp_path, monkeypatch):
    images, labels = np.zeros((100, 9, 9), np.uint8), np.arange(100) % 2
    arrays = {
        f"{split}_{kind}": a
        for split in splits
        for kind, a in [("images", images), ("labels", labels)]
    }
    path = save(tmp_path, **arrays, not_read=images)
    wanted = Wanted("npz", path, valid_fraction=valid_fraction)
    room = needed * (images.nbytes + labels.nbytes + 2 * 128)
    monkeypatch.setattr(npz, "available_memory", lambda: room)
    assert list(npz.read(wanted).splits) == list(splits)
    monkeypatch.setattr(npz, "available_memory", lambda: room - 1)
    carved = "and what is taken of train as test or valid is copied, but"
    with pytest.raises(UserError, match=carved if needed > len(splits) else "GB, but"):
        npz.read(wanted)


def made_alike(tmp_path, train, test, **options):
    """What is read of train [4, H, W, C] and test images, made alike by options."""
    arrays = dict(train_images=train, test_images=test, train_labels=LABELS, test_labels=LABELS)
    where = {"data_dir": save(tmp_path, **arrays), "on_status": lambda text: None}
    splits = load("npz", **where, valid_fraction=0.0, **options).splits
    return splits["train"].images, splits["test"].images


def test_splits_of_two_sizes_are_made_alike(tmp_path):
    large = IMAGES.repeat(2, axis=1).repeat(2, axis=2)
    train, test = made_alike(tmp_path, IMAGES, large, image_size=5)
    np.testing.assert_array_equal(train[..., 0], IMAGES)
    assert test.shape == train.shape
    assert np.abs(test.astype(int) - train).mean() < 3


def test_a_gray_split_beside_one_in_colour_is_made_alike(tmp_path):
    colour = np.stack([IMAGES, IMAGES[:, ::-1], IMAGES], axis=-1)
    train, test = made_alike(tmp_path, colour, IMAGES, channels=3)
    np.testing.assert_array_equal(train, colour)
    np.testing.assert_array_equal(test, IMAGES[..., None].repeat(3, axis=-1))


def test_what_is_transparent_becomes_white(tmp_path):
    opacity = np.where(IMAGES % 2, 255, 0).astype(np.uint8)
    four = np.stack([IMAGES, IMAGES, IMAGES, opacity], axis=-1)
    train, _ = made_alike(tmp_path, four, four, channels=1)
    np.testing.assert_array_equal(train[..., 0], np.where(opacity, IMAGES, 255))


def test_sizes_that_no_option_makes_alike_are_named(tmp_path):
    words = r"npz/test has images of shape \(5, 4, 1\), expected \(5, 5, 1\) as in train; set"
    with pytest.raises(UserError, match=words):
        made_alike(tmp_path, IMAGES, IMAGES[:, :, :4])
    with pytest.raises(UserError, match=r"\[5, 5, 4\], expected \[H, W, C\] with 1 or 3 channels"):
        made_alike(tmp_path, *[IMAGES[..., None].repeat(4, axis=-1)] * 2, image_size=3)


def test_arrays_that_memory_does_not_hold_enlarged_are_enlarged_on_the_device(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("vitjax.data.readers.image_files.available_memory", lambda: 10_000)
    words = (
        r"set config\.data\.input_size, for the device to enlarge them, or config\.data\.image_size"
    )
    with pytest.raises(UserError, match=words):
        made_alike(tmp_path, IMAGES, IMAGES, image_size=50)
