"""Rotations and shears of images: of whole lines of pixels, or exactly by a gather.

Devices other than CPUs gather single pixels slowly (a TPU moves 200 times the bytes): shears move
lines of pixels as a whole, and only `affine_nearest` looks each pixel up by its own index.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

_ONE = 1 << 16  # one pixel in the fixed-point coordinates of an affine map
_RADIX = 4  # slices that each step of a move chooses from: 2 bits of the distance


class Shear(NamedTuple):
    """Line i (a row or a column) is read from floor(slope * (i + 1/2) + offset + 1/2) further on.

    In steps of 1/65536 pixel, as in `affine_nearest`, so that ties fall alike on any device.
    """

    slope: jax.Array | float
    offset: jax.Array | float

    def distances(self, lines: jax.Array) -> jax.Array:
        """Numbers of lines -> how many pixels further on each is read from, both int32 [N]."""
        start = self.offset + 0.5 * (1 + self.slope)
        fixed = jnp.floor(jnp.stack([jnp.asarray(self.slope), start]) * _ONE + 0.5)
        by_line, origin = fixed.astype(jnp.int32)
        return (origin + by_line * lines) >> 16


class Turn(NamedTuple):
    """Quarter turns of an image, which are exact: a transposition, then mirrors; each a bool."""

    transpose: jax.Array
    mirror_rows: jax.Array
    mirror_columns: jax.Array


def rotate(
    image: jax.Array, degrees: jax.Array, *, largest: float
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """Turns an image [H, W, C] counter-clockwise about its centre by up to `largest` degrees.

    By quarter turns (half turns unless it is square), which are exact, and three shears for the
    rest of the angle: each pixel moves as a whole to within 1.12 pixels of its place (1.42 where
    the rest may exceed 45 degrees), and none is lost or doubled inside. 0 outside.

    Returns float32 [H, W, C] and whether its rows and whether its columns are still to be mirrored,
    which `lines.sample` does at no cost; () where neither is.
    """
    height, width, _ = image.shape
    turn, degrees, largest = split_rotation(degrees, largest, height, width)
    along_x, along_y = rotation_shears(degrees, height, width)
    reach = rotation_reach(largest, height, width)
    planes = _transposed(_to_planes(image), turn)
    planes = _shear(planes, (along_x, along_y, along_x), (*reach, reach[0]))
    return _to_image(planes, image), (turn.mirror_rows, turn.mirror_columns) if turn else ()


def shear(
    image: jax.Array,
    shears: tuple[Shear, Shear, Shear],
    reach: tuple[int, int, int],
    turn: Turn | None = None,
) -> jax.Array:
    """Shears an image [H, W, C] along x, then y, then x, amid the steps of `turn`; 0 outside.

    No line may move by more than the shear's `reach`.
    """
    planes = _shear(_transposed(_to_planes(image), turn), shears, reach)
    if turn:
        planes = jnp.where(turn.mirror_rows, planes[:, ::-1], planes)
        planes = jnp.where(turn.mirror_columns, planes[:, :, ::-1], planes)
    return _to_image(planes, image)


def split_rotation(
    degrees: jax.Array, largest: float, height: int, width: int
) -> tuple[Turn | None, jax.Array, float]:
    """Splits a rotation by up to `largest` degrees into quarter turns and what shears do.

    Returns the turns (half turns unless the image is square; None where none is needed), the
    degrees that are sheared amid their steps, and how many these are at most.
    """
    step = 90 if height == width else 180
    if largest <= step / 2:
        return None, degrees, largest
    turns = jnp.round(degrees / step).astype(jnp.int32)
    quarters = turns * (step // 90) % 4
    transpose = quarters % 2 == 1
    degrees = degrees - step * turns
    degrees = jnp.where(transpose, -degrees, degrees)  # which mirroring turns about
    return Turn(transpose, (quarters == 1) | (quarters == 2), quarters >= 2), degrees, step / 2


def _transposed(planes: jax.Array, turn: Turn | None) -> jax.Array:
    """The first step of a turn of planes [P, H, W]; those that are not square stay."""
    if turn is None or planes.shape[1] != planes.shape[2]:
        return planes
    return jnp.where(turn.transpose, planes.swapaxes(1, 2), planes)


def rotation_shears(degrees: jax.Array, height: int, width: int) -> tuple[Shear, Shear]:
    """Shears along x and y; along x, y and x again they turn counter-clockwise about the centre."""
    angle = jnp.deg2rad(degrees)
    by_row, by_column = -jnp.tan(angle / 2), jnp.sin(angle)
    return Shear(by_row, -by_row * height / 2), Shear(by_column, -by_column * width / 2)


def rotation_reach(degrees: float, height: int, width: int) -> tuple[int, int]:
    """How far those shears move a line at most, for angles up to `degrees` (at most 90)."""
    angle = math.radians(degrees)
    along_x = math.ceil(math.tan(angle / 2) * height / 2)
    return along_x, math.ceil(math.sin(angle) * (width / 2 + along_x))


def _shear(
    planes: jax.Array, shears: tuple[Shear, Shear, Shear], reach: tuple[int, int, int]
) -> jax.Array:
    """The three passes over planes [P, H, W]; between them, `reach[0]` columns more each side."""
    _, height, width = planes.shape
    first, second, third = shears
    margin = reach[0]
    rows, columns = jnp.arange(height), jnp.arange(-margin, width + margin)
    planes = _move(planes, first.distances(rows)[:, None], reach[0], 2, margin)
    planes = _move(planes, second.distances(columns), reach[1], 1, 0)
    return _move(planes, third.distances(rows)[:, None], reach[2], 2, -margin)


def _move(planes: jax.Array, distances: jax.Array, reach: int, axis: int, margin: int) -> jax.Array:
    """Reads lines of [P, H, W] `distances` (up to `reach` either way) further on along an axis.

    The result has `margin` pixels more at both ends; what is read outside the lines is 0. Digit by
    digit of the distance, the highest first, each step chooses from slices that lie that far apart.
    """
    length = planes.shape[axis] + 2 * margin
    distances = jnp.clip(distances, -reach, reach) + reach

    def steps(planes: jax.Array, distances: jax.Array, *, keep: bool) -> jax.Array:
        """Moves planes by `distances`, digit by digit of them, as few shifts as that takes."""
        before, left = margin + reach, 2 * reach  # pixels to add in front; distance left
        while left:
            count = min(_RADIX, left + 1)
            gap = (left + 1) // count
            digit = jnp.minimum(distances // gap, count - 1)
            distances, left = distances - gap * digit, left - gap * (count - 1)
            size = length + left
            if keep and left:
                size = max(size, planes.shape[axis])
            planes = _pad(planes, before, size + gap * (count - 1), axis)
            slices = [
                jax.lax.slice_in_dim(planes, gap * i, gap * i + size, axis=axis)
                for i in range(count)
            ]
            planes = jax.lax.select_n(jnp.broadcast_to(digit, slices[0].shape), *slices)
            before = 0
        return planes

    # XLA for a TPU reads an array once for all slices of it padded, but once for each plain slice,
    # so there the size is kept; for a CPU it vectorises plain slices only.
    return jax.lax.platform_dependent(
        planes,
        distances,
        tpu=functools.partial(steps, keep=True),
        default=functools.partial(steps, keep=False),
    )


def _pad(planes: jax.Array, before: int, size: int, axis: int) -> jax.Array:
    """Zeros (or fewer pixels, where negative) in front and behind, to a size along the axis."""
    padding = [(0, 0, 0)] * planes.ndim
    padding[axis] = (before, size - before - planes.shape[axis], 0)
    return jax.lax.pad(planes, jnp.zeros((), planes.dtype), padding)


def _to_planes(image: jax.Array) -> jax.Array:
    """Image [H, W, C] -> planes [P, H, W]: uint8 as words of 4 channels, else one per channel."""
    height, width, channels = image.shape
    planes = jnp.moveaxis(image, -1, 0)
    if image.dtype != jnp.uint8:
        return planes
    flat = planes.reshape(-1)  # as stored: so a TPU does not lay out single bytes anew
    parts = [
        jax.lax.slice_in_dim(flat, i * height * width, (i + 1) * height * width)
        for i in range(channels)
    ]
    words = [part.astype(jnp.uint32) << (8 * (i % 4)) for i, part in enumerate(parts)]
    words = [functools.reduce(jnp.bitwise_or, words[i : i + 4]) for i in range(0, channels, 4)]
    return jnp.stack(words).reshape(-1, height, width)


def _to_image(planes: jax.Array, like: jax.Array) -> jax.Array:
    """Planes [P, H, W] of an image `like` -> float32 [H, W, C]."""
    if like.dtype == jnp.uint8:
        parts = (planes[:, None] >> (8 * jnp.arange(4, dtype=jnp.uint32))[:, None, None]) & 255
        planes = parts.reshape(-1, *planes.shape[1:])[: like.shape[-1]]
    return jnp.moveaxis(planes, 0, -1).astype(jnp.float32)


def affine_nearest(image: jax.Array, matrix: jax.Array) -> jax.Array:
    """Image [H, W, C] under an inverse affine map [2, 3], nearest pixel, 0 outside -> [H, W, C].

    The pixel whose centre is (x, y) comes from matrix @ (x, y, 1), as in PIL's `Image.transform`,
    by a gather. Coordinates are rounded to 1/65536 pixel, as PIL does.
    """
    height, width, channels = image.shape
    start = matrix[:, 2] + 0.5 * (matrix[:, 0] + matrix[:, 1])  # source of the first pixel's centre
    fixed = jnp.floor(jnp.stack([matrix[:, 0], matrix[:, 1], start]) * _ONE + 0.5)
    by_x, by_y, origin = fixed.astype(jnp.int32)  # each [2]: (x, y)
    x, y = jnp.arange(width), jnp.arange(height)[:, None]
    columns, rows = [(origin[i] + by_x[i] * x + by_y[i] * y) >> 16 for i in (0, 1)]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = jnp.where(inside, rows * width + columns, 0)
    pixels = jnp.take(image.reshape(-1, channels), index, axis=0, mode="clip")
    return jnp.where(inside[..., None], pixels, 0)


def rotation_matrix(degrees: jax.Array, height: int, width: int) -> jax.Array:
    """Inverse map [2, 3] of a counter-clockwise rotation about the image's centre."""
    angle = jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    return jnp.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])
