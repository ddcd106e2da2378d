"""Smooth random deformations of an image, as a hand makes that writes the same thing again."""

import functools
import math

import jax
import jax.numpy as jnp

MAX_STRENGTH = 0.1  # above it most images would be folded over somewhere

_BUMPS = 7  # smooth bumps along a side: a digit's strokes move apart, none is torn
_MARGIN = 2  # bumps beyond each end, without which borders would move less
_CLIP = 3.0  # standard deviations that a pixel moves at most


def elastic(key: jax.Array, image: jax.Array, strength: float) -> jax.Array:
    """Deforms an image float32 [H, W, C] smoothly; what enters is 0.

    Every pixel is read from a place that lies further on by two normal numbers, along the row and
    along the column, whose standard deviation is `strength` (in (0, MAX_STRENGTH]) of the side;
    neighbours within a seventh of it move alike. Elastic distortions as in "Best Practices for
    Convolutional Neural Networks Applied to Visual Document Analysis" (Simard et al. 2003), whose
    noise is blurred over 4 of 28 pixels, too, and is 0.05 strong. Pixels are read linearly, along
    rows and then along columns, from slices, which no device need gather.
    """
    for axis, part in ((1, key), (0, jax.random.fold_in(key, 1))):
        limit = _CLIP * strength * image.shape[axis]
        moves = strength * image.shape[axis] * _field(part, *image.shape[:2])
        image = _moved(image, jnp.clip(moves, -limit, limit), math.ceil(limit), axis)
    return image


def _field(key: jax.Array, height: int, width: int) -> jax.Array:
    """A smooth field of normal numbers [H, W], each with mean 0 and standard deviation 1."""
    noise = jax.random.normal(key, (_BUMPS + 2 * _MARGIN, _BUMPS + 2 * _MARGIN))
    return functools.reduce(jnp.matmul, (_bumps(height), noise, _bumps(width).T))


def _bumps(size: int) -> jax.Array:
    """How much of each bump is in each pixel of a line, [size, bumps]; squares sum to 1."""
    places = (jnp.arange(size) + 0.5) * (_BUMPS / size)
    centres = jnp.arange(-_MARGIN, _BUMPS + _MARGIN) + 0.5
    weights = jnp.exp(-0.5 * (places[:, None] - centres) ** 2)
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def _moved(image: jax.Array, moves: jax.Array, reach: int, axis: int) -> jax.Array:
    """Reads [H, W, C] linearly `moves` pixels [H, W] (up to `reach`) further on along an axis."""
    padding = [(0, 0)] * image.ndim
    padding[axis] = (reach, reach)
    padded, size = jnp.pad(image, padding), image.shape[axis]
    result = jnp.zeros_like(image)
    for distance in range(-reach, reach + 1):
        weight = jnp.maximum(0, 1 - jnp.abs(moves - distance))[..., None]
        start = distance + reach
        result += weight * jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
    return result
