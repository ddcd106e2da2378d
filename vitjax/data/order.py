"""Who comes when, and with which randomness: functions of (seed, epoch, example, step) alone."""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vitjax import prng

_INIT, _ORDER, _AUGMENT, _DROPOUT = range(4)  # independent streams of one seed


class Order(NamedTuple):
    """The examples of an epoch's batches."""

    indices: jax.Array  # int32 [S, B], into the train split
    mask: jax.Array  # bool [S, B], False where a batch is padded


def num_batches(num_examples: int, batch_size: int, drop_remainder: bool) -> int:
    """Returns how many batches an epoch has."""
    return num_examples // batch_size if drop_remainder else -(-num_examples // batch_size)


def epoch_order(
    seed: jax.Array,
    epoch: jax.Array,
    num_examples: int,
    batch_size: int,
    drop_remainder: bool,
    repeats: int = 1,
) -> Order:
    """Returns the order of `epoch`: a permutation, its last batch padded or dropped.

    With `repeats` a batch has so many copies of batch_size / repeats images, one set of them behind
    another, and the epoch keeps its steps: it ends after as large a part of the permutation.
    """
    steps = num_batches(num_examples, batch_size, drop_remainder)
    order = jax.random.permutation(_stream(seed, _ORDER, epoch), num_examples)
    order = jnp.resize(order, (steps, batch_size // repeats)).astype(jnp.int32)
    order = jnp.tile(order, (1, repeats))
    mask = jnp.arange(steps * batch_size).reshape(steps, batch_size) < num_examples
    return Order(order, mask)


def in_turn(num_examples: int, batch_size: int) -> Order:
    """Returns all examples in the order of the split, the last batch padded with later numbers."""
    steps = num_batches(num_examples, batch_size, drop_remainder=False)
    indices = jnp.arange(steps * batch_size, dtype=jnp.int32).reshape(steps, batch_size)
    return Order(indices, indices < num_examples)


class EpochOrders:
    """The batches of all epochs by step, on the host; equal to those of `epoch_order`."""

    def __init__(
        self,
        seed: int,
        num_examples: int,
        batch_size: int,
        drop_remainder: bool,
        repeats: int = 1,
    ):
        self.batch_size = batch_size
        self._seed, self._options = seed, (num_examples, batch_size, drop_remainder, repeats)
        self._steps = num_batches(num_examples, batch_size, drop_remainder)
        self._known: dict[int, Order] = {}  # the epochs drawn last: readers are ahead of the rest
        self._drawing = threading.Lock()

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices and mask [B] of the batch of a step."""
        epoch, i = divmod(step, self._steps)
        with self._drawing:
            if epoch not in self._known:
                recent = {key: order for key, order in self._known.items() if key == epoch - 1}
                self._known = {**recent, epoch: self._draw(epoch)}
            order = self._known[epoch]
        return np.asarray(order.indices[i]), np.asarray(order.mask[i])

    def chunk_end(self, step: int) -> int:
        """Returns the first step of the next epoch."""
        return (step // self._steps + 1) * self._steps

    def _draw(self, epoch: int) -> "Order":
        """Draws an order on the CPU, where there is one, so that no device needs the memory."""
        with contextlib.ExitStack() as on_cpu:
            with contextlib.suppress(RuntimeError):  # JAX was told to use no CPU
                on_cpu.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
            draw = jax.jit(epoch_order, static_argnums=(2, 3, 4, 5))
            return jax.device_get(draw(np.uint32(self._seed), np.int32(epoch), *self._options))

    def __getstate__(self) -> dict[str, Any]:
        return {"_seed": self._seed, "_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_seed"], *state["_options"])  # type: ignore[misc]


class InTurn:
    """The batches of a split in its order, by number, on the host; as `in_turn`."""

    def __init__(self, num_examples: int, batch_size: int):
        self._num_examples, self.batch_size = num_examples, batch_size

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices and mask [B] of batch `step`."""
        indices = np.arange(step * self.batch_size, (step + 1) * self.batch_size, dtype=np.int32)
        return indices, indices < self._num_examples

    def chunk_end(self, step: int) -> int:
        """Returns the number of batches."""
        del step
        return num_batches(self._num_examples, self.batch_size, drop_remainder=False)


class Together:
    """The batches of several orders of as many epochs' steps, one behind another."""

    def __init__(self, orders: Sequence[EpochOrders]):
        self._orders = orders
        self.batch_size = sum(order.batch_size for order in orders)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns indices and mask [sum of B] of the batches of a step."""
        indices, masks = zip(*(order.batch(step) for order in self._orders), strict=True)
        return np.concatenate(indices), np.concatenate(masks)

    def chunk_end(self, step: int) -> int:
        """Returns the first step of the next epoch."""
        return self._orders[0].chunk_end(step)


def example_keys(seed: jax.Array, epoch: jax.Array, indices: jax.Array) -> jax.Array:
    """Returns a key for the augmentation of each example [B], whatever batch it is in."""
    return jax.vmap(jax.random.fold_in, (None, 0))(_stream(seed, _AUGMENT, epoch), indices)


def copy_numbers(indices: jax.Array, num_examples: int, repeats: int) -> jax.Array:
    """Returns what `example_keys` tells the copies in a batch of `epoch_order` apart by, int32 [B].

    That is an image's index for its first copy, and `num_examples` more for each that follows.
    """
    if repeats == 1:
        return indices
    copies = jnp.arange(len(indices), dtype=jnp.int32) // (len(indices) // repeats)
    return indices + copies * num_examples


def init_key(seed: jax.Array) -> jax.Array:
    """Returns the key of the model's initialisation."""
    return _stream(seed, _INIT, 0)


def dropout_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the key of the dropout masks of one optimiser step."""
    return _stream(seed, _DROPOUT, step)


def _stream(seed: jax.Array, stream: int, index: jax.Array | int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(prng.key(seed), stream), index)
