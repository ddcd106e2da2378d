"""Changes of an image's rows and columns alone: crops, flips and boxes, any number of them at once.

Each is a product with a matrix from either side, so several in a row are one such pair. No pixel is
gathered, which other devices than CPUs do slowly.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

ATTEMPTS = 10  # boxes drawn before torchvision falls back


class Lines(NamedTuple):
    """Where the N rows or columns of an image are read from: between two of them, each [N]."""

    lower: jax.Array
    upper: jax.Array
    weight: jax.Array  # of `upper`; `lower` has the rest

    @classmethod
    def all(cls, size: int) -> "Lines":
        """Each of `size` lines as it is."""
        return cls(jnp.arange(size), jnp.arange(size), jnp.zeros(size))

    def shifted(self, by: jax.Array) -> "Lines":
        """Reads an image that was read `by` pixels further on."""
        return Lines(self.lower + by, self.upper + by, self.weight)

    def mirrored(self, mirror: jax.Array) -> "Lines":
        """Reads an image that was read from the other end where `mirror` is true."""
        last = len(self.lower) - 1
        lower, upper = (jnp.where(mirror, last - at, at) for at in (self.lower, self.upper))
        return Lines(lower, upper, self.weight)

    def stretched(self, start: jax.Array, length: jax.Array) -> "Lines":
        """Reads, at whole pixels, an image whose `length` from `start` on were stretched over it.

        Bilinear with half-pixel centres and no antialiasing: torchvision's `resized_crop` with
        `antialias=False`. The outermost of these pixels repeat.
        """
        position = (self.lower + 0.5) * (length / len(self.lower)) - 0.5
        position = jnp.clip(position, 0, length - 1)
        lower = position.astype(jnp.int32)
        upper = jnp.minimum(lower + 1, length - 1)
        return Lines(start + lower, start + upper, position - lower)

    def matrix(self) -> jax.Array:
        """Returns [N, N], the share of each line in each: 0 of those outside."""
        lines = jnp.arange(len(self.lower))
        mixing = (lines == self.lower[:, None]) * (1 - self.weight[:, None])
        return mixing + (lines == self.upper[:, None]) * self.weight[:, None]


Step = Callable[[Lines, Lines], tuple[Lines, Lines]]


def read(image: jax.Array, steps: Sequence[Step]) -> jax.Array:
    """Does changes of rows and columns, in their order, at once: [H, W, C] -> [H, W, C]."""
    if not steps:
        return image
    lines = Lines.all(image.shape[0]), Lines.all(image.shape[1])
    for step in reversed(steps):  # from the result back to what it is read from
        lines = step(*lines)
    return sample(image, *lines)


def sample(image: jax.Array, rows: Lines, columns: Lines) -> jax.Array:
    """Reads an image [H, W, C] at H rows and W columns -> float32 [H, W, C]; 0 outside of it."""
    return blend(image, rows.matrix(), columns.matrix())


def blend(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Mixes an image's rows and columns by matrices [H, H] and [W, W]: [H, W, C], float32.

    Two products, in full precision: whole pixels stay what they are.
    """
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    image = product("iy,yxc->ixc", rows, image.astype(jnp.float32))
    return product("jx,ixc->ijc", columns, image)


def crop(
    key: jax.Array, rows: Lines, columns: Lines, *, padding: int | jax.Array
) -> tuple[Lines, Lines]:
    """Shifts by up to `padding` pixels each way."""
    top, left = below(jax.random.uniform(key, (2,)), 2 * padding + 1) - padding
    return rows.shifted(top), columns.shifted(left)


def flip_columns(
    key: jax.Array, rows: Lines, columns: Lines, *, probability: float | jax.Array = 0.5
) -> tuple[Lines, Lines]:
    """Mirrors left to right."""
    return rows, columns.mirrored(jax.random.bernoulli(key, probability))


def flip_rows(
    key: jax.Array, rows: Lines, columns: Lines, *, probability: float | jax.Array = 0.5
) -> tuple[Lines, Lines]:
    """Mirrors top to bottom."""
    return rows.mirrored(jax.random.bernoulli(key, probability)), columns


def box(
    key: jax.Array,
    rows: Lines,
    columns: Lines,
    *,
    scale: Sequence[float] | jax.Array,
    ratio: Sequence[float] | jax.Array,
) -> tuple[Lines, Lines]:
    """The box that `random_resized_crop` reads, in torchvision's way of drawing one."""
    height, width = len(rows.lower), len(columns.lower)
    draws = jax.random.uniform(key, (2 + 2 * ATTEMPTS,))
    widths, heights = sides(draws[2:], height * width, scale, ratio)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = jnp.argmax(fits)  # 0 where none fits
    # Without a fit: the largest box in the middle whose shape is within `ratio`.
    found = fits[first]
    box_width = jnp.where(found, widths[first], jnp.minimum(width, jnp.round(height * ratio[1])))
    box_height = jnp.where(found, heights[first], jnp.minimum(height, jnp.round(width / ratio[0])))
    size = jnp.stack([box_height, box_width]).astype(jnp.int32)
    room = jnp.array([height, width]) - size
    top, left = jnp.where(found, below(draws[:2], room + 1), room // 2)
    return rows.stretched(top, size[0]), columns.stretched(left, size[1])


def below(draws: jax.Array, bound: int | jax.Array) -> jax.Array:
    """Draws uniform in [0, 1) -> whole numbers uniform in [0, bound), for one hash of the key."""
    return jnp.floor(draws * bound).astype(jnp.int32)


def sides(
    draws: jax.Array,
    pixels: int,
    scale: Sequence[float] | jax.Array,
    ratio: Sequence[float] | jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Draws [2N] -> sides a, b [N] of boxes: a * b / pixels uniform in `scale`, a / b in `ratio`.

    The ratio is uniform in its logarithm; the sides are rounded to whole pixels.
    """
    for_area, for_shape = jnp.split(draws, 2)
    area = pixels * (scale[0] + for_area * (scale[1] - scale[0]))
    shape = ratio[0] * (ratio[1] / ratio[0]) ** for_shape
    return jnp.round(jnp.sqrt(area * shape)), jnp.round(jnp.sqrt(area / shape))
