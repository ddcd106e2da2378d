"""Where batches come from: splits that lie on the devices, or streams that bring them there."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import NamedSharding

from vitjax.data import stream
from vitjax.data.on_device import AtRest, Batches, DeviceImages
from vitjax.data.order import InTurn, Order, num_batches
from vitjax.training.placement.sharding import of_chunks
from vitjax.training.setup import Setup
from vitjax.training.step import evaluation_batch

Call = tuple[Any, tuple]  # a function to compile, and arguments like those of its calls


class Feed(Protocol):
    """Batches to train on, and metrics over splits.

    `who` are the first arguments of an evaluation: variables, or members' values and states.
    """

    waited: float  # seconds in which the devices had nothing to do, for want of data

    def example(self) -> Batches:
        """Returns batches, or their shapes, to compile training for."""

    def batches(self, first: int, stop: int, state: Any) -> Iterator[tuple[Batches, int]]:
        """Yields what trains from step `first` to `stop`, in an epoch: batches, and up to where.

        `state` is what the devices work on when the first are asked for.
        """

    def batches_at(self, step: int) -> Batches:
        """Returns batches that hold that of `step`, which was trained on."""

    def evaluation(self, split: str, who: tuple) -> Call:
        """Returns what to compile for the metrics on a split."""

    def metrics(self, program: Any, split: str, who: tuple) -> Any:
        """Returns the metrics on a split by the program of `evaluation`."""

    def close(self) -> None:
        """Ends what goes on in the background."""


class AtRestFeed:
    """The splits lie whole on each device."""

    def __init__(
        self,
        splits: Mapping[str, DeviceImages],
        epoch_order: Callable[[Any], Order],
        steps_per_epoch: int,
        evaluate: Any,
    ):
        """`evaluate` is a program of (*who, split)."""
        self.waited = 0.0
        self._splits, self._epoch_order, self._evaluate = splits, epoch_order, evaluate
        self._steps = steps_per_epoch
        self._batches: AtRest | None = None  # of the epoch in training

    def example(self) -> Batches:
        """Those of the first epoch."""
        return self.batches_at(0)

    def batches(self, first: int, stop: int, state: Any) -> Iterator[tuple[Batches, int]]:
        """All at once."""
        yield self.batches_at(first), stop

    def batches_at(self, step: int) -> AtRest:
        """Those of its epoch, whose order is drawn when it begins."""
        epoch = step // self._steps
        first = epoch * self._steps
        if self._batches is None or self._batches.first != first:
            order = self._epoch_order(np.int32(epoch))
            self._batches = AtRest(self._splits["train"], order, np.int32(first))
        return self._batches

    def evaluation(self, split: str, who: tuple) -> Call:
        """A loop over the whole split."""
        return self._evaluate, (*who, self._splits[split])

    def metrics(self, program: Any, split: str, who: tuple) -> Any:
        """In one call."""
        return program(*who, self._splits[split])

    def close(self) -> None:
        """Does nothing."""


class StreamFeed:
    """Batches are read while others are trained on, and brought to the devices in chunks."""

    def __init__(
        self, setup: Setup, orders: stream.Orders, split: NamedSharding, evaluate: Any, zero: Any
    ):
        """`orders` and `split`, the sharding of chunks, are those of training.

        `evaluate` is a program of (*who, chunk, number of batches, metrics), `zero` the metrics
        that it begins with.
        """
        self.waited = 0.0
        self._setup, self._orders, self._evaluate, self._zero = setup, orders, evaluate, zero
        self._place = self._place_of(split, orders.batch_size)
        self._stream: stream.Stream | None = None
        self._ready: stream.Ready | None = None  # what was used last

    def _place_of(self, split: NamedSharding, batch_size: int) -> stream.Place:
        return stream.Place(split, batch_size, self._setup.dataset.image_shape)

    def example(self) -> Batches:
        """The shapes of a chunk."""
        return self._place.abstract_chunk()

    def batches(self, first: int, stop: int, state: Any) -> Iterator[tuple[Batches, int]]:
        """Chunk by chunk; the stream goes on where it is."""
        while first < stop:
            ready = self._at(first, state)
            first = min(ready.stop, stop)
            yield ready.chunk, first

    def _at(self, step: int, state: Any) -> stream.Ready:
        """Returns the chunk that holds the batch of `step`."""
        if self._stream is None:
            self._stream = self._read(step, self._setup.num_steps, self._setup.num_workers)
        while self._ready is None or self._ready.stop <= step:
            before = self._stream.waited
            self._ready = self._stream.next(lambda: jax.block_until_ready(state))
            self.waited += self._stream.waited - before
        return self._ready

    def _read(self, start: int, stop: int, num_workers: int) -> stream.Stream:
        train = self._setup.dataset.splits["train"]
        return stream.Stream(train, self._orders, self._place, start, stop, num_workers)

    def batches_at(self, step: int) -> Batches:
        """That one alone, read again."""
        with contextlib.closing(self._read(step, step + 1, num_workers=0)) as reading:
            return reading.next(lambda: None).chunk

    def evaluation(self, split: str, who: tuple) -> Call:
        """A loop over the batches of a chunk."""
        chunk = self._evaluation_place(split).abstract_chunk()
        return self._evaluate, (*who, chunk, np.int32(0), self._zero)

    def metrics(self, program: Any, split: str, who: tuple) -> Any:
        """Chunk by chunk, read by threads: processes take seconds to start."""
        images, place = self._setup.dataset.splits[split], self._evaluation_place(split)
        orders, metrics, done = InTurn(len(images), place.batch_size), self._zero, 0
        count = num_batches(len(images), place.batch_size, drop_remainder=False)
        with contextlib.closing(stream.Stream(images, orders, place, 0, count)) as reading:
            while done < count:
                ready = reading.next(lambda: None)
                metrics = program(*who, ready.chunk, np.int32(ready.stop - done), metrics)
                done = ready.stop
        return metrics

    def _evaluation_place(self, split: str) -> stream.Place:
        setup, count = self._setup, len(self._setup.dataset.splits[split])
        size = evaluation_batch(setup.recipe, setup.mesh, count)
        return self._place_of(of_chunks(setup.mesh), size)

    def close(self) -> None:
        """Stops reading."""
        if self._stream is not None:
            self._stream.close()
