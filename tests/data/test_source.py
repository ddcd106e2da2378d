import errno
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vitjax import data
from vitjax.data.readers import image_files, npz
from vitjax.data.readers.pixels import to_array
from vitjax.errors import UserError


def quiet(line):
    pass


def test_import_is_light():
    heavy = ("tensorflow_datasets", "sklearn", "PIL", "tensorflow", "requests")
    code = f"import sys, vitjax.data; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(image_size=0), r"image_size=0 .*config\.data\.image_size"),
        (dict(channels=2), r"channels=2 .*config\.data\.channels"),
        (dict(fit="crop"), r"fit='crop' .*config\.data\.fit"),
        (dict(max_examples=-1), r"max_examples=-1 .*config\.data\.max_examples"),
        (dict(valid_fraction=1.0), r"valid_fraction=1\.0 .*config\.data\.valid_fraction"),
        (dict(split_seed=-1), r"split_seed=-1 .*config\.data\.split_seed"),
    ],
)
def test_rejects_options(options, message):
    with pytest.raises(UserError, match=message):
        data.load("digits", **options)


def test_converts_size_and_channels():
    assert data.load("digits", image_size=12, channels=3).image_shape == (12, 12, 3)


def test_center_crop_pads_with_zeros():
    plain = data.load("digits").splits["test"].images
    padded = data.load("digits", image_size=10, fit="center_crop").splits["test"].images
    np.testing.assert_array_equal(padded[:, 1:9, 1:9], plain)
    assert padded.sum(dtype=int) == plain.sum(dtype=int)


def test_center_crop_does_not_scale():
    pixels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    cropped = to_array(Image.fromarray(pixels), 2, 1, "center_crop")
    np.testing.assert_array_equal(cropped[..., 0], pixels[2:4, 2:4])


def test_resize_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # vanishes in the mean
    small = to_array(Image.fromarray(stripes), 8, 1, "resize")
    assert 100 < small.min() <= small.max() < 155


def test_sixteen_bits_are_scaled_not_clipped():
    image = Image.fromarray(np.array([[0, 256, 65535]], np.uint16))
    assert to_array(image, None, 1, "resize").ravel().tolist() == [0, 1, 255]


@pytest.mark.parametrize("transparent", [256, 65535, 257])
def test_a_transparent_gray_of_sixteen_bits_becomes_white(transparent):
    stored = io.BytesIO()
    pixels = np.array([[0, 256, 258, 65535]], np.uint16)
    Image.fromarray(pixels).save(stored, "PNG", transparency=transparent)
    expected = np.where(pixels == transparent, 255, pixels >> 8)
    with Image.open(stored) as image:
        assert to_array(image, None, 1, "resize")[..., 0].tolist() == expected.tolist()


def test_carves_test_by_a_seed_of_its_own(tmp_path):
    write_npz(tmp_path / "toy.npz", 200)
    sets = [
        data.load("npz", data_dir=tmp_path / "toy.npz", split_seed=seed, on_status=quiet).splits
        for seed in (0, 1)
    ]
    assert [len(split) for split in sets[0].values()] == [144, 16, 40]
    assert sets[0]["test"].ids.tolist() == sets[1]["test"].ids.tolist()
    assert sets[0]["valid"].ids.tolist() != sets[1]["valid"].ids.tolist()


def test_tells_what_it_carved(tmp_path):
    write_npz(tmp_path / "toy.npz", 200)
    lines = []
    data.load("npz", data_dir=tmp_path / "toy.npz", on_status=lines.append)
    assert "no test split: took 40 images" in lines[0]
    assert "no valid split: took 16 of 160 images" in lines[1]


def test_no_valid_when_told_so(tmp_path):
    write_npz(tmp_path / "toy.npz", 200)
    splits = data.load("npz", data_dir=tmp_path / "toy.npz", valid_fraction=0, on_status=quiet)
    assert list(splits.splits) == ["train", "test"]


def test_too_few_images_for_valid(tmp_path):
    write_npz(tmp_path / "toy.npz", 4)
    with pytest.raises(UserError, match=r"less than one image.*config\.data\.valid_fraction"):
        data.load("npz", data_dir=tmp_path / "toy.npz", on_status=quiet)


def test_too_large_for_memory(monkeypatch):
    monkeypatch.setattr(image_files, "available_memory", lambda: 10**9)
    with pytest.raises(UserError, match=r"decodes to 1\.8 GB .*config\.data\.image_size to \d+"):
        data.load("digits", image_size=1000)


def write_npz(path, count):
    labels = np.arange(count) % 2
    np.savez(path, train_images=np.zeros((count, 4, 4), np.uint8), train_labels=labels)


def test_max_examples_keeps_all_classes_of_each_split():
    dataset = data.load("digits", max_examples=50)
    assert {name: len(split) for name, split in dataset.splits.items()} == dict(
        train=50, valid=50, test=50
    )
    assert set(dataset.splits["train"].labels) == set(range(10))


READERS = ("folder", "csv", "npz", "galaxy_zoo2", "mnist")


@pytest.mark.parametrize("name", READERS)
def test_what_the_system_refuses_is_the_users_to_mend(name):
    with pytest.raises(UserError, match=r"cannot read x+.* \(File name too long\).*data\.data_dir"):
        data.load(name, data_dir="x" * 300)


@pytest.mark.parametrize("name", READERS[:4])
def test_an_unknown_home(name):
    with pytest.raises(UserError, match=r"~nobody-here/x.*config\.data\.data_dir"):
        data.load(name, data_dir="~nobody-here/x")


@pytest.mark.parametrize("name", ["csv", "npz"])
def test_a_file_that_may_not_be_read(name, tmp_path, monkeypatch):
    file = tmp_path / f"toy.{name}"
    file.write_text("path,label")
    original = io.open

    def refuse(path, *args, **kwargs):
        if str(path) == str(file):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(path, *args, **kwargs)

    for module in ("builtins", "io"):
        monkeypatch.setattr(f"{module}.open", refuse)
    with pytest.raises(UserError, match=rf"cannot read .*toy\.{name} \(Permission denied\)"):
        data.load(name, data_dir=str(file))


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_npz(tmp_path / "toy.npz", 200)
    assert data.load("npz", data_dir="~/toy.npz", on_status=quiet).name == "npz"


def test_an_npz_file_needs_no_room_for_a_split_that_is_not_taken(tmp_path, monkeypatch):
    images, labels = np.zeros((100, 9, 9), np.uint8), np.arange(100) % 2
    train = {"train_images": images, "train_labels": labels}
    np.savez(tmp_path / "a.npz", **train, test_images=images, test_labels=labels)
    options = dict(data_dir=str(tmp_path / "a.npz"), on_status=quiet)
    monkeypatch.setattr(npz, "available_memory", lambda: int(2.9 * (images.nbytes + labels.nbytes)))
    assert len(data.load("npz", **options, valid_fraction=0.0).splits) == 2
    with pytest.raises(UserError, match="and what is taken of train as test or valid is copied"):
        data.load("npz", **options, valid_fraction=0.1)
