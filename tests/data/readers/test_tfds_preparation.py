"""Preparation of sets of TFDS without TensorFlow."""

import importlib.util
import json
import threading
import time

import numpy as np
import pytest
from tfds_sets import by_pixels, fake_cifar100, load, write_mnist

from vitjax.data.readers import downloads
from vitjax.errors import UserError


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


# From archives put there by hand


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


def test_cut_array_record(tmp_path, any_checksum):
    fake_cifar100(tmp_path / "downloads" / "manual" / "cifar-100-binary.tar.gz")
    load("cifar100", tmp_path)
    (path,) = tmp_path.glob("cifar100/3.0.2/*train*")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot read split train in .*config\.data\.data_dir"):
        load("cifar100", tmp_path)


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
