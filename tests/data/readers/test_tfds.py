import io
import json
import struct

import numpy as np
import pytest
from PIL import Image
from tfds_sets import load

from vitjax.errors import UserError

RNG = np.random.default_rng(0)


# Real data


def test_mnist(real_data):
    lines = []
    mnist = load("mnist", real_data("tfds"), valid_fraction=0.1, on_status=lines.append)
    sizes = {name: len(split) for name, split in mnist.splits.items()}
    assert sizes == {"train": 54_000, "valid": 6_000, "test": 10_000}
    assert (mnist.image_shape, mnist.class_names) == ((28, 28, 1), tuple("0123456789"))
    test = np.bincount(mnist.splits["test"].labels)
    assert test.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert lines[0] == "reading mnist/train: 60,000 images"
    mean = np.concatenate([mnist.splits[name].images for name in ("train", "valid")]).mean() / 255
    assert mean == pytest.approx(0.1307, abs=5e-5)  # as published


@pytest.fixture(scope="module")
def cifar(real_data):
    return load("cifar100", real_data("tfds"))


def test_cifar100(cifar):
    train = cifar.splits["train"]
    assert train.images.shape == (50_000, 32, 32, 3)
    assert np.bincount(train.labels).tolist() == [500] * 100
    assert np.bincount(cifar.splits["test"].labels).tolist() == [100] * 100
    assert cifar.class_names[:2] + cifar.class_names[-1:] == ("apple", "aquarium_fish", "worm")
    mean = train.images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.5071, 0.4865, 0.4409], atol=1e-4)  # as published


def test_same_as_the_decoder_of_tfds(cifar, real_data):
    import tensorflow_datasets as tfds

    ours = cifar.splits["test"]
    theirs = tfds.builder("cifar100", data_dir=real_data("tfds")).as_data_source("test")
    for i in range(0, 10_000, 499):
        np.testing.assert_array_equal(ours.images[i], theirs[i]["image"])
        assert ours.labels[i] == theirs[i]["label"]


# A prepared TFRecord folder


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def checksum(content):
    """CRC-32C, bit by bit, as TFRecord masks it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@pytest.fixture
def tfrecord(tmp_path):
    """MNIST with eight images in two shards: (data_dir, images, labels)."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("mnist", data_dir=tmp_path)
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    images, labels = RNG.integers(0, 256, (8, 28, 28), np.uint8), np.arange(8) % 10
    for shard, part in enumerate((range(0, 5), range(5, 8))):
        with open(folder / f"mnist-train.tfrecord-0000{shard}-of-00002", "wb") as file:
            for i in part:
                example = {"image": png(images[i]), "label": labels[i]}
                record = builder.info.features.serialize_example(example)
                length = struct.pack("<Q", len(record))
                file.write(length + checksum(length) + record + checksum(record))
    split = {
        "name": "train",
        "shardLengths": ["5", "3"],
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    }
    info = {"name": "mnist", "version": "3.0.1", "fileFormat": "tfrecord", "splits": [split]}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(json.dumps(builder.info.features.to_json()))
    return tmp_path, images, labels


def test_reads_tfrecord_without_tensorflow(tfrecord):
    folder, images, labels = tfrecord
    train = load("mnist", folder).splits["train"]
    np.testing.assert_array_equal(train.images[..., 0], images)
    assert train.labels.tolist() == labels.tolist()
    assert train.ids[7] == "train/7"


def test_size_and_channels(tfrecord):
    assert load("mnist", tfrecord[0], image_size=14, channels=3).image_shape == (14, 14, 3)


def test_cut_tfrecord(tfrecord):
    path = tfrecord[0] / "mnist" / "3.0.1" / "mnist-train.tfrecord-00001-of-00002"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"00001-of-00002 ends in the middle of a record"):
        load("mnist", tfrecord[0])


@pytest.mark.parametrize(
    ("place", "words"),
    [(2, "00001-of-00002 has a damaged record"), (150, "differs from its checksum")],
)
def test_a_bit_that_changed_in_tfrecord(tfrecord, place, words):
    path = tfrecord[0] / "mnist" / "3.0.1" / "mnist-train.tfrecord-00001-of-00002"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        load("mnist", tfrecord[0])


def test_lost_records(tfrecord):
    path = tfrecord[0] / "mnist" / "3.0.1" / "mnist-train.tfrecord-00001-of-00002"
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"split train in .* holds 5 examples, expected 8"):
        load("mnist", tfrecord[0])


def test_lost_file(tfrecord):
    (tfrecord[0] / "mnist" / "3.0.1" / "mnist-train.tfrecord-00001-of-00002").unlink()
    with pytest.raises(UserError, match=r"cannot read split train .*00001-of-00002"):
        load("mnist", tfrecord[0])


@pytest.mark.parametrize("content", ["", "[]", '{"name": 3}'])
def test_damaged_description(tfrecord, content):
    (tfrecord[0] / "mnist" / "3.0.1" / "dataset_info.json").write_text(content)
    with pytest.raises(UserError, match=r"TFDS rejects 'mnist' .*remove its folder in config"):
        load("mnist", tfrecord[0])


def test_decodes_plain_files_all_at_once(tfrecord, monkeypatch):
    monkeypatch.delattr("vitjax.data.readers.records.decode_one_by_one")
    assert len(load("mnist", tfrecord[0]).splits["train"]) > 0


# Names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "unknown data set 'mnits'; did you mean .*mnist"),
        ("digit", "did you mean digits"),
        ("CIFAR-100", "did you mean .*cifar100"),
        ("zzzzzz", "expected digits, folder, csv, npz, galaxy_zoo2"),
        ("huggingface:mnist", "unknown data set 'huggingface:mnist'"),
        ("emnist/nothing", r"TFDS rejects 'emnist/nothing' .*config\.data\.name"),
        ("imdb_reviews", "text: Text, label: ClassLabel, expected an 8-bit Image"),
    ],
)
def test_names(tmp_path, name, message):
    with pytest.raises(UserError, match=message) as error:
        load(name, tmp_path)
    assert "\n" not in str(error.value)
