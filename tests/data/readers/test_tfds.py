import gzip
import importlib.util
import io
import json
import struct
import tarfile
import threading
import time

import numpy as np
import pytest
from PIL import Image

from vitjax import data
from vitjax.data.readers import downloads
from vitjax.errors import UserError

RNG = np.random.default_rng(0)


def load(name, data_dir, **options):
    options.setdefault("on_status", lambda line: None)
    options.setdefault("valid_fraction", 0)
    return data.load(name, data_dir=str(data_dir), **options)


def by_pixels(split):
    return {image.tobytes(): label for image, label in zip(split.images, split.labels, strict=True)}


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


def test_cut_array_record(tmp_path, any_checksum):
    fake_cifar100(tmp_path / "downloads" / "manual" / "cifar-100-binary.tar.gz")
    load("cifar100", tmp_path)
    (path,) = tmp_path.glob("cifar100/3.0.2/*train*")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot read split train in .*config\.data\.data_dir"):
        load("cifar100", tmp_path)


def test_decodes_plain_files_all_at_once(tfrecord, monkeypatch):
    monkeypatch.delattr("vitjax.data.readers.records.decode_one_by_one")
    assert len(load("mnist", tfrecord[0]).splits["train"]) > 0


# Preparation without TensorFlow, from archives put there by hand


@pytest.fixture
def no_tensorflow(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *a: None if name == "tensorflow" else find(name, *a),
    )


@pytest.fixture
def any_checksum(monkeypatch, no_tensorflow):
    from tensorflow_datasets.core.download.download_manager import DownloadManager

    def accept(self, url, url_info, path):
        self._recorded_url_infos[url] = url_info

    monkeypatch.setattr(DownloadManager, "_register_or_validate_checksums", accept)


def write_cifar100(path, train, test):
    """An archive in the original layout, from (images [N, 3, 32, 32], labels) of both splits."""
    path.parent.mkdir(parents=True)
    names = {"coarse": 20, "fine": 100}
    files = {
        f"{kind}_label_names.txt": "\n".join(f"{kind}{i}" for i in range(count)).encode()
        for kind, count in names.items()
    }
    for name, (images, labels) in (("train.bin", train), ("test.bin", test)):
        records = (bytes([0, label]) + x.tobytes() for x, label in zip(images, labels, strict=True))
        files[name] = b"".join(records)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def fake_cifar100(path):
    splits = [(RNG.integers(0, 256, (n, 3, 32, 32), np.uint8), np.arange(n)) for n in (12, 5)]
    write_cifar100(path, *splits)
    return splits


@pytest.mark.parametrize("folder", ["manual", "manual/cifar100"])
def test_prepares_cifar100(tmp_path, any_checksum, folder):
    archive = tmp_path / "downloads" / folder / "cifar-100-binary.tar.gz"
    splits = fake_cifar100(archive)
    dataset = load("cifar100", tmp_path)
    assert dataset.class_names[3] == "fine3"
    for name, (images, labels) in zip(("train", "test"), splits, strict=True):
        pixels = images.transpose(0, 2, 3, 1)
        expected = {x.tobytes(): label for x, label in zip(pixels, labels, strict=True)}
        assert by_pixels(dataset.splits[name]) == expected
    archive.unlink()  # the prepared set is all that the next run needs
    again = load("cifar100", tmp_path)
    np.testing.assert_array_equal(again.splits["train"].images, dataset.splits["train"].images)


def test_another_label_of_a_set(tmp_path, any_checksum):
    fake_cifar100(tmp_path / "downloads" / "manual" / "cifar-100-binary.tar.gz")
    dataset = load("cifar100", tmp_path, label_column="coarse_label")
    assert dataset.class_names == tuple(f"coarse{i}" for i in range(20))
    assert dataset.splits["train"].labels.tolist() == [0] * 12
    with pytest.raises(UserError, match=r"'id' given, expected one of .*'coarse_label'"):
        load("cifar100", tmp_path, label_column="id")


def test_leaves_tfds_as_it_was(tmp_path, any_checksum):
    from tensorflow_datasets.image_classification import cifar

    before = cifar.tf
    fake_cifar100(tmp_path / "downloads" / "manual" / "cifar-100-binary.tar.gz")
    load("cifar100", tmp_path)
    assert cifar.tf is before


def test_prepares_parquet_where_array_record_is_absent(tmp_path, any_checksum, monkeypatch):
    pytest.importorskip("pyarrow")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *a: None if name == "array_record" else find(name, *a),
    )
    splits = fake_cifar100(tmp_path / "downloads" / "manual" / "cifar-100-binary.tar.gz")
    dataset = load("cifar100", tmp_path)
    assert list(tmp_path.glob("cifar100/3.0.2/*.parquet*"))
    assert sorted(dataset.splits["train"].labels) == splits[0][1].tolist()


def write_mnist(folder, seed):
    """The four files with 20 and 10 images, of which those of train are returned."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    expected = {}
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        with gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + images.tobytes())
        with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + labels.tobytes())
        expected[prefix] = {x.tobytes(): y for x, y in zip(images, labels, strict=True)}
    return expected["train"]


def test_prepares_mnist_and_fashion_mnist_side_by_side(tmp_path, any_checksum, monkeypatch):
    from tensorflow_datasets.image_classification import mnist as module

    monkeypatch.setattr(module, "_TRAIN_EXAMPLES", 20)
    monkeypatch.setattr(module, "_TEST_EXAMPLES", 10)
    for seed, name in enumerate(("mnist", "fashion_mnist")):
        expected = write_mnist(tmp_path / "downloads" / "manual" / name, seed)
        dataset = load(name, tmp_path)
        assert by_pixels(dataset.splits["train"]) == expected
        assert len(dataset.splits["test"]) == 10
    assert dataset.class_names[9] == "Ankle boot"


def test_wrong_archive(tmp_path, no_tensorflow):
    fake_cifar100(tmp_path / "downloads" / "manual" / "cifar-100-binary.tar.gz")
    with pytest.raises(UserError, match=r"differs from the published one .*replace or remove it"):
        load("cifar100", tmp_path)


def test_others_need_tensorflow(tmp_path, no_tensorflow):
    with pytest.raises(UserError, match=r"beans is not prepared.*pip install '\.\[tf\]'"):
        load("beans", tmp_path)


# Without a network


@pytest.fixture
def offline(monkeypatch):
    import requests

    def fail(url, **options):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "head", fail)


def test_offline_names_the_way_on(tmp_path, offline, no_tensorflow):
    start = time.monotonic()
    with pytest.raises(UserError, match=r"toronto\.edu cannot be reached") as error:
        load("cifar100", tmp_path)
    message = str(error.value)
    assert time.monotonic() - start < 5
    assert f"put cifar-100-binary.tar.gz into {tmp_path}/downloads/manual/cifar100" in message
    assert "config.data.data_dir to a folder that holds cifar100/3.0.2" in message
    assert "\n" not in message


def test_offline_names_only_what_is_missing(tmp_path, offline, no_tensorflow):
    folder = tmp_path / "downloads" / "manual" / "mnist"
    write_mnist(folder, 0)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=f"put t10k-labels-idx1-ubyte.gz into {folder}, or"):
        load("mnist", tmp_path)


def test_a_silent_host_takes_no_longer_than_promised(monkeypatch):
    import requests

    released = threading.Event()
    monkeypatch.setattr(requests, "head", lambda url, **options: released.wait())
    monkeypatch.setattr(downloads, "PROBE_SECONDS", 0.2)
    start = time.monotonic()
    reason = downloads.unreachable(["http://a.test/x", "http://a.test/y", "http://b.test/z"])
    released.set()
    assert reason == "a.test cannot be reached (no answer); b.test cannot be reached (no answer)"
    assert time.monotonic() - start < 2


def test_a_closed_port_is_unreachable(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "127.0.0.1:1 cannot be reached" in downloads.unreachable(["http://127.0.0.1:1/x"])


def test_nothing_missing_is_not_probed(offline):
    assert downloads.unreachable([]) == ""


def test_finds_earlier_downloads(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "a.gz").write_bytes(b"")
    for name, url in (("a.gz", "http://a.test/a"), ("b.gz", "http://a.test/b")):
        info = json.dumps({"urls": [url]})
        (tmp_path / "mnist" / f"{name}.INFO").write_text(info)  # b.gz itself is lost
    for name, info in (("c.gz", "{"), ("d.gz", "[]")):  # damaged
        (tmp_path / "mnist" / name).write_bytes(b"")
        (tmp_path / "mnist" / f"{name}.INFO").write_text(info)
    archives = {"http://a.test/a": "a.gz", "http://a.test/b": "b.gz"}
    assert downloads.missing_archives(archives, tmp_path, "mnist") == {"http://a.test/b": "b.gz"}


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
