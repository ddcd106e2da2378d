"""Shifts, affine maps and boxes of images: where each pixel is read from, as gathers."""

import jax
import jax.numpy as jnp

_ONE = 1 << 16  # one pixel in the fixed-point coordinates of affine_nearest


def take_pixels(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Image [H, W, C] at integer rows and columns (broadcast to [h, w]) -> [h, w, C]; 0 outside."""
    height, width, channels = image.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = jnp.where(inside, rows * width + columns, 0)
    pixels = jnp.take(image.reshape(-1, channels), index, axis=0, mode="clip")
    return jnp.where(inside[..., None], pixels, 0)


def affine_nearest(image: jax.Array, matrix: jax.Array) -> jax.Array:
    """Image [H, W, C] under an inverse affine map [2, 3], nearest pixel, 0 outside -> [H, W, C].

    The pixel whose centre is (x, y) comes from matrix @ (x, y, 1), as in PIL's `Image.transform`.
    Coordinates are rounded to 1/65536 pixel, as PIL does, so that ties fall alike on any device.
    """
    height, width, _ = image.shape
    start = matrix[:, 2] + 0.5 * (matrix[:, 0] + matrix[:, 1])  # source of the first pixel's centre
    fixed = jnp.floor(jnp.stack([matrix[:, 0], matrix[:, 1], start]) * _ONE + 0.5)
    by_x, by_y, origin = fixed.astype(jnp.int32)  # each [2]: (x, y)
    x, y = jnp.arange(width), jnp.arange(height)[:, None]
    source = [(origin[i] + by_x[i] * x + by_y[i] * y) >> 16 for i in (0, 1)]
    return take_pixels(image, rows=source[1], columns=source[0])


def rotation_matrix(degrees: jax.Array, height: int, width: int) -> jax.Array:
    """Inverse map [2, 3] of a counter-clockwise rotation about the image's centre."""
    angle = jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2, height / 2
    return jnp.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])


def resize_box(
    image: jax.Array, top: jax.Array, left: jax.Array, height: jax.Array, width: jax.Array
) -> jax.Array:
    """A box of an image [H, W, C], resized back to [H, W, C].

    Bilinear with half-pixel centres and no antialiasing: torchvision's `resized_crop` with
    `antialias=False`. The box (whole pixels) lies inside the image; its edge pixels repeat.
    """
    size, columns, channels = image.shape
    lower, upper, weight = _neighbours(size, top, height)
    # Rows by a matrix product, whose operand XLA computes once; gathers would fuse with what made
    # the image, and compute it four times.
    places = jnp.arange(size)
    mixing = (places == lower[:, None]) * (1 - weight[:, None])
    mixing += (places == upper[:, None]) * weight[:, None]
    rows = jnp.dot(mixing, image.reshape(size, -1), precision=jax.lax.Precision.HIGHEST)
    rows = rows.reshape(size, columns, channels)
    lower, upper, weight = _neighbours(columns, left, width)
    a = jnp.take(rows, lower, axis=1, mode="clip")
    b = jnp.take(rows, upper, axis=1, mode="clip")
    return a + weight[:, None] * (b - a)


def _neighbours(
    size: int, start: jax.Array, length: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where `size` places lie that `length` pixels from `start` on are stretched over, each [size].

    Returns the pixel below each place, the pixel above it, and the weight of the latter.
    """
    position = (jnp.arange(size) + 0.5) * (length / size) - 0.5
    position = jnp.clip(position, 0, length - 1)
    lower = position.astype(jnp.int32)
    upper = jnp.minimum(lower + 1, length - 1)
    return start + lower, start + upper, position - lower
