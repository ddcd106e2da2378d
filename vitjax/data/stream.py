"""Batches read ahead of their use, for images that do not lie on the devices.

The only importer of Grain.
"""

import contextlib
import gc
import importlib.util
import math
import multiprocessing
import multiprocessing.connection
import os
import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from vitjax.data.dataset import Split
from vitjax.data.images import Images
from vitjax.data.on_device import Chunk, DeviceImages, abstract_images, num_rows, to_rows
from vitjax.data.order import Order
from vitjax.errors import UserError
from vitjax.machine.host import num_cores
from vitjax.text import one_line

CHUNK_BYTES = 2**25  # of the batches that go to the devices at once
_MOST_STEPS = 32  # of them
CHUNKS_AHEAD = 2  # on the devices before they are used


class Orders(Protocol):
    """Which examples the batches hold; may be pickled."""

    batch_size: int

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices and mask [B] of the batch of a step."""

    def chunk_end(self, step: int) -> int:
        """Returns the step that a chunk which begins at `step` must not go beyond."""


class Ready(NamedTuple):
    """A chunk on the devices."""

    chunk: Chunk
    stop: int  # the step after its last batch


class Stream:
    """Chunks of a split's batches, from a step on, read by threads or processes in the background.

    Each process reads the examples of its own devices. Close it to free its threads.
    """

    def __init__(
        self,
        split: Split,
        orders: Orders,
        place: "Place",
        start: int,
        stop: int,
        num_workers: int = 0,
    ):
        """The batches of steps `start` to `stop`; `num_workers` processes, 0: threads."""
        self.waited = 0.0  # seconds in which the devices had nothing to do
        self._split, self._orders, self._place = split, orders, place
        self._start, self._stop = start, stop
        self._by_processes = num_workers > 0
        self._batches = _read_ahead(_Batches(split.images, orders, place, start, stop), num_workers)
        self._ready: queue.Queue[Ready | BaseException] = queue.Queue(CHUNKS_AHEAD)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="vitjax-stream", daemon=True)
        self._thread.start()

    def next(self, drain: Callable[[], Any]) -> Ready:
        """Returns the next chunk; `drain` waits until the devices have done their work.

        Raises what went wrong while it was read.
        """
        try:
            found = self._ready.get_nowait()
        except queue.Empty:
            drain()
            started = time.perf_counter()
            found = self._ready.get()
            self.waited += time.perf_counter() - started
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """Stops reading."""
        self._closing.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._ready.get_nowait()
        self._thread.join()

    def _fill(self) -> None:
        try:
            step = self._start
            while step < self._stop and not self._closing.is_set():
                end = min(step + self._place.num_steps, self._orders.chunk_end(step), self._stop)
                self._put(Ready(self._chunk(step, end), end))
                step = end
        except BaseException as error:  # raised where the chunk is asked for
            self._put(error)
        finally:
            self._batches.close()
            if self._by_processes:
                # Grain's iterators hold their last batches in cycles; what is left of such shared
                # memory when Python ends, Python warns of.
                gc.collect()

    def _put(self, item: Ready | BaseException) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._ready.put(item, timeout=0.1)
                return

    def _chunk(self, start: int, end: int) -> Chunk:
        """Returns the batches of steps `start` to `end`, filled up to the size of all chunks."""
        place = self._place
        rows = np.zeros(place.local_shape, np.uint8)
        indices = np.zeros((place.num_steps, place.batch_size), np.int32)
        mask = np.zeros(indices.shape, bool)
        for i, step in enumerate(range(start, end)):
            rows[i] = next(self._batches)
            indices[i], mask[i] = self._orders.batch(step)
        labels = self._split.labels[np.minimum(indices, len(self._split) - 1)]
        pixels = place.whole(rows)
        batches = DeviceImages(pixels, place.put(labels), place.image_shape)
        return Chunk(batches, Order(place.put(indices), place.put(mask)), np.int32(start))


class Place:
    """Where chunks lie: [S, B] batches whose axis B is split as `split` says, over devices."""

    def __init__(
        self,
        split: jax.sharding.NamedSharding,
        batch_size: int,
        image_shape: tuple[int, int, int],
    ):
        """`split` is the sharding of [S, B, ...]."""
        self.split = split
        self.batch_size, self.image_shape = batch_size, image_shape
        self.num_steps = chunk_steps(batch_size, image_shape)
        shape = self.num_steps, batch_size
        blocks = split.addressable_devices_indices_map(shape).values()
        own = [np.arange(batch_size)[block[1]] for block in blocks if block]
        self.columns = np.unique(np.concatenate(own))  # of B, that this process needs

    @property
    def local_shape(self) -> tuple[int, ...]:
        """The shape of the pixels that this process needs."""
        return self.num_steps, len(self.columns), num_rows(self.image_shape), 128

    def abstract_chunk(self) -> Chunk:
        """Returns the shapes of a chunk that lies here."""
        return abstract_chunk(self.batch_size, self.image_shape, self.split)

    def whole(self, rows: np.ndarray) -> jax.Array:
        """Returns the pixels [S, B, R, 128], of which `rows` are this process's columns."""
        shape = (rows.shape[0], self.batch_size, *rows.shape[2:])

        def of(block: Any) -> np.ndarray:
            """Returns the rows of a device's block."""
            wanted = np.arange(self.batch_size)[block[1]]
            first = int(np.searchsorted(self.columns, wanted[0]))
            return rows[:, first : first + len(wanted)]

        return jax.make_array_from_callback(shape, self.split, of)

    def put(self, numbers: np.ndarray) -> jax.Array:
        """Returns numbers [S, B], which every process has whole."""
        return jax.make_array_from_callback(numbers.shape, self.split, numbers.__getitem__)


def chunk_steps(batch_size: int, image_shape: tuple[int, int, int]) -> int:
    """Returns S, how many batches of images [H, W, C] go to the devices at once."""
    return max(1, min(_MOST_STEPS, CHUNK_BYTES // (batch_size * math.prod(image_shape))))


def abstract_chunk(
    batch_size: int, image_shape: tuple[int, int, int], split: jax.sharding.Sharding
) -> Chunk:
    """Returns the shapes of a chunk, whose arrays lie as `split` says."""
    shape = chunk_steps(batch_size, image_shape), batch_size
    indices: Any = jax.ShapeDtypeStruct(shape, np.int32)
    mask: Any = jax.ShapeDtypeStruct(shape, bool)
    images, order = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split),
        (abstract_images(shape, image_shape), Order(indices, mask)),
    )
    return Chunk(images, order, jax.ShapeDtypeStruct((), np.int32))


class _Batches:
    """The pixels of batches by number, as Grain reads them; may be pickled."""

    def __init__(self, images: Images, orders: Orders, place: Place, start: int, stop: int):
        self._images, self._orders, self._columns = images, orders, place.columns
        self._start, self._count = start, max(stop - start, 0)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> np.ndarray:
        indices, _ = self._orders.batch(self._start + int(number))
        own = np.minimum(indices[self._columns], len(self._images) - 1)
        return to_rows(self._images[own])


def _read_ahead(source: _Batches, num_workers: int) -> Generator[np.ndarray]:
    """Yields the items of `source` in order, read by threads, or by processes."""
    check_installed()
    import grain

    batches = grain.MapDataset.source(source)
    if not num_workers:
        threads = num_cores()
        with contextlib.closing(
            iter(batches.to_iter_dataset(grain.ReadOptions(threads, threads + 1)))
        ) as reading:
            yield from reading
        return
    from absl import flags

    if not flags.FLAGS.is_parsed():  # Grain's processes read them
        flags.FLAGS.mark_as_parsed()
    one = batches.to_iter_dataset(grain.ReadOptions(1, 2))
    several = one.mp_prefetch(grain.MultiprocessingOptions(num_workers), _begin_reader)
    with contextlib.closing(iter(several)) as reading:
        try:
            yield from reading
        except RuntimeError as error:
            raise UserError(
                f"a process that reads data has ended ({one_line(error)}); set "
                "config.data.num_workers=0. A script needs if __name__ == '__main__': around what "
                "it runs"
            ) from error


def _begin_reader(index: int, count: int) -> None:
    """Keeps a process that reads data off the devices, and from outliving the one that trains."""
    del index, count
    jax.config.update("jax_platforms", "cpu")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that has started it has ended, be it by a kill."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def check_installed() -> None:
    """Raises UserError unless Grain is here."""
    if importlib.util.find_spec("grain") is None:  # to import it takes seconds
        raise UserError(
            "streaming needs Grain: pip install '.[stream]' in the checkout, or set "
            "config.data.stream=never for data that fit into memory"
        )
