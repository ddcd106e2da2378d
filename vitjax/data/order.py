"""Who comes when, and with which randomness: functions of (seed, epoch, example, step) alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    seed: jax.Array, epoch: jax.Array, num_examples: int, batch_size: int, drop_remainder: bool
) -> Order:
    """Returns the order of `epoch`: a permutation, its last batch padded or dropped."""
    steps = num_batches(num_examples, batch_size, drop_remainder)
    order = jax.random.permutation(_stream(seed, _ORDER, epoch), num_examples)
    order = jnp.resize(order, (steps, batch_size)).astype(jnp.int32)
    mask = jnp.arange(steps * batch_size).reshape(steps, batch_size) < num_examples
    return Order(order, mask)


def example_keys(seed: jax.Array, epoch: jax.Array, indices: jax.Array) -> jax.Array:
    """Returns a key for the augmentation of each example [B], whatever batch it is in."""
    return jax.vmap(jax.random.fold_in, (None, 0))(_stream(seed, _AUGMENT, epoch), indices)


def init_key(seed: jax.Array) -> jax.Array:
    """Returns the key of the model's initialisation."""
    return _stream(seed, _INIT, 0)


def dropout_key(seed: jax.Array, step: jax.Array) -> jax.Array:
    """Returns the key of the dropout masks of one optimiser step."""
    return _stream(seed, _DROPOUT, step)


def _stream(seed: jax.Array, stream: int, index: jax.Array | int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(prng.key(seed), stream), index)
