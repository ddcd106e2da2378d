"""Dropout whose random bits cost next to nothing."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax import prng


class Dropout(nn.Module):
    """Sets a share `rate` of the values to 0 and scales the others by 1 / (1 - rate).

    As flax.linen.Dropout, but with the bits of vitjax.prng, whatever the key in the stream
    "dropout" is: threefry takes several times longer than the layer that it follows on a CPU.
    `rate` may be a traced number.
    """

    rate: float | jax.Array
    broadcast_dims: tuple[int, ...] = ()  # axes that share a decision

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Any shape to the same shape; unchanged unless `train`."""
        if not train or is_zero(self.rate):
            return x
        shape = tuple(1 if i in self.broadcast_dims else n for i, n in enumerate(x.shape))
        return drop(x, prng.cheap(self.make_rng("dropout")), self.rate, shape)


def is_zero(rate: float | jax.Array) -> bool:
    """Whether nothing is dropped, as far as can be told before a rate's value is known."""
    return isinstance(rate, int | float) and rate == 0


def drop(
    x: jax.Array, key: jax.Array, rate: float | jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """Dropout by decisions of `shape`, which broadcasts to that of x; the same for the same key."""
    keep = jax.random.bits(key, shape) >= (jnp.asarray(rate, jnp.float32) * 2.0**32).astype(
        jnp.uint32
    )
    return jnp.where(keep, x / jnp.asarray(1 - rate, x.dtype), jnp.zeros_like(x))
