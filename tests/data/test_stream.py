"""Batches that are read ahead are those that lie on the devices, wherever their images are."""

import collections
import json
import re
import shutil
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from commands import REPO
from PIL import Image

from vitjax.data import load, stream
from vitjax.data.dataset import Split
from vitjax.data.images import StoredImages, in_slices, take
from vitjax.data.on_device import put
from vitjax.data.order import EpochOrders, InTurn, Together, epoch_order, in_turn
from vitjax.errors import UserError
from vitjax.training.placement.sharding import make_mesh, of_chunks, replicated

MESH = make_mesh(jax.devices()[:1])
SHAPE = (6, 5, 3)


def split(count=23):
    images = np.random.RandomState(0).randint(0, 256, (count, *SHAPE), np.uint8)
    return Split(images, np.arange(count, dtype=np.int32) % 7, np.arange(count).astype(str))


def read(split, orders, start, stop, num_workers=0):
    """The chunks from step `start` to `stop`, on the host, each with the step where it ends."""
    place = stream.Place(of_chunks(MESH), orders.batch_size, SHAPE)
    reading, found = stream.Stream(split, orders, place, start, stop, num_workers), []
    try:
        while not found or found[-1].stop < stop:
            found.append(reading.next(lambda: None))
    finally:
        reading.close()
    return found


@pytest.mark.parametrize(("drop", "repeats"), [(False, 1), (True, 1), (False, 2)])
def test_orders_on_the_host_are_those_of_the_devices(drop, repeats):
    orders = EpochOrders(5, 23, 4, drop, repeats)
    steps = 5 if drop else 6
    for epoch in (0, 1, 3, 2):
        expected = epoch_order(np.uint32(5), np.int32(epoch), 23, 4, drop, repeats)
        for i in range(steps):
            indices, mask = orders.batch(epoch * steps + i)
            np.testing.assert_array_equal(indices, expected.indices[i])
            np.testing.assert_array_equal(mask, expected.mask[i])
    assert orders.chunk_end(steps) == 2 * steps


def test_examples_in_turn():
    orders, expected = InTurn(10, 4), in_turn(10, 4)
    for i in range(3):
        np.testing.assert_array_equal(orders.batch(i)[0], expected.indices[i])
        np.testing.assert_array_equal(orders.batch(i)[1], expected.mask[i])


def test_several_orders_lie_behind_one_another():
    first, second = EpochOrders(0, 23, 4, False), EpochOrders(1, 23, 4, False)
    indices, mask = Together([first, second]).batch(7)
    np.testing.assert_array_equal(indices, [*first.batch(7)[0], *second.batch(7)[0]])
    np.testing.assert_array_equal(mask, [*first.batch(7)[1], *second.batch(7)[1]])


@pytest.mark.parametrize("start", [0, 4, 9])
def test_chunks_hold_the_batches_of_their_steps(start, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK_BYTES", 4 * 4 * 90)  # four steps
    stored, orders = split(), EpochOrders(0, 23, 4, False)
    at_rest, step = put(stored, replicated(MESH)), start
    for ready in read(stored, orders, start, 13):
        assert int(ready.chunk.first) == step
        for i in range(ready.stop - step):
            indices, mask = orders.batch(step + i)
            found = ready.chunk.at(i, None)
            np.testing.assert_array_equal(found.images(), at_rest.take(indices).images())
            np.testing.assert_array_equal(found.labels, stored.labels[indices])
            np.testing.assert_array_equal(ready.chunk.order.indices[i], indices)
            np.testing.assert_array_equal(ready.chunk.order.mask[i], mask)
        step = ready.stop
    assert step == 13


def test_a_chunk_ends_with_its_epoch(monkeypatch):
    monkeypatch.setattr(stream, "CHUNK_BYTES", 4 * 4 * 90)
    ends = [ready.stop for ready in read(split(), EpochOrders(0, 23, 4, False), 1, 15)]
    assert ends == [5, 6, 10, 12, 15]


class Slow(StoredImages):
    """Images that take their time, and count how often they were asked for."""

    def __init__(self, images, fails=()):
        super().__init__(images.shape)
        self.images, self.fails, self.reads = images, fails, 0

    def read(self, index):
        self.reads += 1
        if set(self.fails) & set(index.tolist()):
            raise UserError("image 7 is damaged")
        time.sleep(0.01)
        return self.images[index]


def test_what_is_damaged_is_raised_where_it_is_asked_for():
    stored = split()
    broken = Split(Slow(stored.images, fails=[7]), stored.labels, stored.ids)
    with pytest.raises(UserError, match="image 7 is damaged"):
        read(broken, InTurn(23, 4), 0, 6)


def test_reads_only_a_little_ahead(monkeypatch):
    monkeypatch.setattr(stream, "CHUNK_BYTES", 1)  # one step
    stored = split()
    images = Slow(stored.images)
    orders = EpochOrders(0, 23, 4, False)
    place = stream.Place(of_chunks(MESH), 4, SHAPE)
    data = Split(images, stored.labels, stored.ids)
    reading = stream.Stream(data, orders, place, 0, 10_000)
    reading.next(lambda: None)
    time.sleep(0.5)
    reading.close()
    assert images.reads < 100


def test_a_closed_stream_leaves_no_thread():
    orders = EpochOrders(0, 23, 4, False)
    reading = stream.Stream(split(), orders, stream.Place(of_chunks(MESH), 4, SHAPE), 0, 500)
    reading.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "vitjax-stream"]


def test_counts_the_time_in_which_devices_have_nothing_to_do():
    stored = split()
    data = Split(Slow(stored.images), stored.labels, stored.ids)
    place = stream.Place(of_chunks(MESH), 23, SHAPE)
    reading = stream.Stream(data, InTurn(23, 23), place, 0, 1)
    drained = []
    reading.next(lambda: drained.append(time.sleep(0.05)))
    reading.close()
    assert drained == [None]
    assert 0 <= reading.waited < 30


def test_images_by_slices_and_choices_are_those_of_the_array():
    images = split().images
    slow = Slow(images)
    np.testing.assert_array_equal(np.concatenate(list(in_slices(slow, 5))), images)
    np.testing.assert_array_equal(slow[3:20:4], images[3:20:4])
    np.testing.assert_array_equal(slow[-1], images[-1])
    chosen = take(take(slow, np.arange(23) % 2 == 0), np.array([3, 1]))
    np.testing.assert_array_equal(chosen[np.array([1, 0])], images[[2, 6]])


@pytest.mark.parametrize(("memory", "expected"), [(0, 2), (8 * 3 * 5 * 90, 4), (None, 5)])
def test_slices_read_ahead_are_those_that_memory_holds(memory, expected, monkeypatch):
    monkeypatch.setattr("vitjax.data.images.available_memory", lambda: memory)
    monkeypatch.setattr("vitjax.data.images.num_cores", lambda: 2)
    images = Slow(split(100).images)
    reading = in_slices(images, 5)  # of 90 bytes each
    next(reading)
    until = time.monotonic() + 30
    while images.reads < expected and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)  # in which more would be read
    assert images.reads == expected
    reading.close()


# Where images are stored


@pytest.fixture
def folder(tmp_path):
    """Two classes of PNG files."""
    random = np.random.RandomState(0)
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            pixels = random.randint(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def quietly(*args, **options):
    return load(*args, on_status=lambda text: None, **options)


@pytest.mark.parametrize(
    "choice", [{}, {"image_size": 5}, {"max_examples": 8, "channels": 1, "valid_fraction": 0.0}]
)
def test_files_that_stay_encoded_are_the_same_images(folder, choice):
    at_once = quietly("folder", data_dir=str(folder), **choice)
    later = quietly("folder", data_dir=str(folder), decode_up_to=0, **choice)
    for name, part in at_once.splits.items():
        stored = later.splits[name]
        assert isinstance(stored.images, StoredImages)
        np.testing.assert_array_equal(stored.images[:], part.images)
        np.testing.assert_array_equal(stored.labels, part.labels)
        np.testing.assert_array_equal(stored.ids, part.ids)


def test_a_set_within_the_limit_is_decoded(folder):
    size = 24 * 8 * 8 * 3
    assert isinstance(
        quietly("folder", data_dir=str(folder), decode_up_to=size).splits["test"].images, np.ndarray
    )
    later = quietly("folder", data_dir=str(folder), decode_up_to=size - 1)
    assert isinstance(later.splits["test"].images, StoredImages)


def test_a_damaged_file_is_named_when_it_is_read(folder):
    path = folder / "train" / "cat" / "3.png"
    path.write_bytes(path.read_bytes()[:60])
    later = quietly("folder", data_dir=str(folder), decode_up_to=0, image_size=8, channels=3)
    with pytest.raises(UserError, match=r"cannot read 1 image files: .*3\.png"):
        later.splits["train"].images[:]


def test_records_that_stay_encoded_are_the_same_images(real_data):
    options = {"data_dir": str(real_data("tfds")), "max_examples": 50}
    at_once, later = quietly("mnist", **options), quietly("mnist", decode_up_to=0, **options)
    for name, part in at_once.splits.items():
        assert isinstance(later.splits[name].images, StoredImages)
        np.testing.assert_array_equal(later.splits[name].images[:], part.images)
        np.testing.assert_array_equal(later.splits[name].labels, part.labels)


# The cache of decoded images


def cached(folder, cache, **options):
    said = []
    options = {"data_dir": str(folder), "cache_dir": str(cache), "on_status": said.append} | options
    return load("folder", **options), "\n".join(said)


def test_a_cache_is_made_once_and_holds_the_images(folder, tmp_path):
    expected = quietly("folder", data_dir=str(folder))
    for words in ("decoding 12 images", "as written"):
        dataset, said = cached(folder, tmp_path / "cache")
        assert words in said
        for name, part in expected.splits.items():
            np.testing.assert_array_equal(dataset.splits[name].images[:], part.images)
            np.testing.assert_array_equal(dataset.splits[name].labels, part.labels)
    assert "decoding" not in said
    assert isinstance(dataset.splits["test"].images, np.memmap)


def test_another_share_of_validation_uses_the_same_cache(folder, tmp_path):
    cached(folder, tmp_path / "cache")
    dataset, said = cached(folder, tmp_path / "cache", valid_fraction=0.5)
    assert "decoding" not in said
    expected = quietly("folder", data_dir=str(folder), valid_fraction=0.5)
    np.testing.assert_array_equal(
        dataset.splits["valid"].images[:], expected.splits["valid"].images
    )


def test_changed_files_and_options_have_another_cache(folder, tmp_path):
    cached(folder, tmp_path / "cache")
    assert "decoding 12" in cached(folder, tmp_path / "cache", image_size=4)[1]
    path = folder / "train" / "cat" / "3.png"
    Image.new("RGB", (8, 8)).save(path)
    dataset, said = cached(folder, tmp_path / "cache")
    assert "decoding 12" in said
    assert not dataset.splits["train"].images[:].all()


def test_a_damaged_cache_is_made_again(folder, tmp_path):
    cached(folder, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("folder-train-*/images.npy")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    dataset, said = cached(folder, tmp_path / "cache")
    assert "damaged, made again" in said
    expected = quietly("folder", data_dir=str(folder)).splits["train"]
    np.testing.assert_array_equal(dataset.splits["train"].images[:], expected.images)


@pytest.mark.parametrize("content", [b"", b'{"images.npy": "0a', b"[]", b"\xff\xfe"])
def test_a_cache_with_a_damaged_checksum_is_made_again(folder, tmp_path, content):
    cached(folder, tmp_path / "cache")
    (written,) = (tmp_path / "cache").glob("folder-test-*/sha256.json")
    written.write_bytes(content)
    assert "damaged, made again" in cached(folder, tmp_path / "cache")[1]


def test_a_cache_that_was_interrupted_is_made_again(folder, tmp_path):
    cached(folder, tmp_path / "cache")
    (written,) = (tmp_path / "cache").glob("folder-test-*/sha256.json")
    assert set(json.loads(written.read_text())) == {"images.npy"}
    written.unlink()
    assert "decoding 12" in cached(folder, tmp_path / "cache")[1]


def test_what_a_kill_left_of_a_cache_takes_no_place(folder, tmp_path, monkeypatch):
    cached(folder, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("folder-test-*/images.npy")
    (part := file.with_suffix(".npy.part")).write_bytes(file.read_bytes())
    file.unlink()
    usage = collections.namedtuple("Usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0 if part.exists() else 2**30))
    assert "decoding 12" in cached(folder, tmp_path / "cache")[1]


def test_a_cache_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot use the cache .*change config\.data\.cache"):
        cached(folder, tmp_path / "file")


SMALL_DISK = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"']
FILLS_UP = """
import collections, pathlib, shutil, sys
from vitjax import data
free = collections.namedtuple("Usage", "free")(2**40)  # as before others have taken it
shutil.disk_usage = lambda path: free
try:
    data.load("folder", data_dir=sys.argv[1], cache_dir=sys.argv[2], image_size=512)
except Exception as error:
    print(error)
print([str(path) for path in pathlib.Path(sys.argv[2]).glob("*/images*")])
"""


def test_a_disk_that_fills_up_under_a_cache_is_said_in_one_line(folder, tmp_path):
    """The system ends who maps a file for which no place is left: with SIGBUS, without a word."""
    (disk := tmp_path / "disk").mkdir()
    if subprocess.run([*SMALL_DISK, disk, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    words = [*SMALL_DISK, disk, sys.executable, "-c", FILLS_UP, folder, disk / "cache"]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = r"cannot use the cache .*No space left on device.*; change config\.data\.cache"
    assert re.match(expected, done.stdout.splitlines()[-2])
    assert done.stdout.splitlines()[-1] == "[]"


def test_grain_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(UserError, match=r"streaming needs Grain: pip install '\.\[stream\]'"):
        stream.check_installed()
