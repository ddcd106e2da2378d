"""Random bits that cost next to nothing, as an implementation of JAX's keys.

A word is a hash of its place and of the key's two words: two rounds of a mixer of 32 bits
(https://github.com/skeeto/hash-prospector, "lowbias32"), each after a word of the key. That is a
dozen operations, which fuse into what uses the word, where threefry takes a hundred; and the same
bits on every device, however an array is split. For dropout and augmentation, not for secrets.
"""

import math

import jax
import jax.numpy as jnp
from jax.extend import random as extension

_KEYS, _SEEDS = 0x9E3779B9, 0x7F4A7C15  # keep new keys and seeds apart from words drawn


def key(seed: jax.Array | int) -> jax.Array:
    """Returns the key of a seed, which every function of jax.random takes."""
    return jax.random.key(seed, impl=_IMPLEMENTATION)


def cheap(key: jax.Array) -> jax.Array:
    """Returns a key of this implementation: the given one, or one drawn from it."""
    if jax.random.key_impl(key) == _IMPLEMENTATION:
        return key
    return jax.random.wrap_key_data(jax.random.bits(key, (2,)), impl=_IMPLEMENTATION)


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _words(key: jax.Array, place: jax.Array) -> jax.Array:
    """Key [2] and places of any shape, uint32 -> words of that shape."""
    return _mix(_mix(place ^ key[0]) ^ key[1])


def _seed(seed: jax.Array) -> jax.Array:
    return _fold_in(jnp.full(2, _SEEDS, jnp.uint32), seed)


def _fold_in(key: jax.Array, data: jax.Array | int) -> jax.Array:
    """Key [2] and a number -> key [2]: for each number another first word."""
    word = _words(key, jnp.asarray(data).astype(jnp.uint32) ^ jnp.uint32(_KEYS))
    return jnp.stack([word, _mix(word ^ key[0])])


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Key [2] -> keys [*shape, 2]."""
    return _random_bits(_fold_in(key, jnp.uint32(_SEEDS)), 32, (*shape, 2))


def _random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """Key [2] -> unsigned integers of `bit_width` bits, of that shape."""
    if bit_width == 64:
        high, low = (_random_bits(each, 32, shape) for each in _split(key, (2,)))
        return (high.astype(jnp.uint64) << 32) | low.astype(jnp.uint64)
    place = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return (_words(key, place) >> (32 - bit_width)).astype(f"uint{bit_width}")


_IMPLEMENTATION = extension.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="vitjax_hash",
    tag="hash",
)
