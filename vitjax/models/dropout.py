"""Dropout whose random bits cost next to nothing."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp


class Dropout(nn.Module):
    """Sets a share `rate` of the values to 0 and scales the others by 1 / (1 - rate).

    As flax.linen.Dropout, but a hash of each value's index decides, which fuses into the
    neighbouring computation: threefry takes several times longer than the layer that it follows
    on a CPU. `rate` may be a traced number. Draws its key from the stream "dropout".
    """

    rate: float | jax.Array
    broadcast_dims: tuple[int, ...] = ()  # axes that share a decision

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Any shape to the same shape; unchanged unless `train`."""
        if not train or (isinstance(self.rate, int | float) and self.rate == 0):
            return x
        shape = tuple(1 if i in self.broadcast_dims else n for i, n in enumerate(x.shape))
        keep = uniform_bits(self.make_rng("dropout"), shape) >= _threshold(self.rate)
        return jnp.where(keep, x / jnp.asarray(1 - self.rate, x.dtype), jnp.zeros_like(x))


def uniform_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Returns uint32 of `shape`, each a hash of its index and of the key.

    Two rounds of a mixer of 32 bits (https://github.com/skeeto/hash-prospector, "lowbias32"), each
    after a word of the key. Good enough for dropout, not for drawing numbers in general.
    """
    words = jax.random.bits(key, (2,), jnp.uint32)
    index = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return _mix(_mix(index ^ words[0]) ^ words[1])


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _threshold(rate: float | jax.Array) -> jax.Array:
    """Returns the uint32 below which a share `rate` of all lies."""
    return (jnp.asarray(rate, jnp.float32) * 2.0**32).astype(jnp.uint32)
