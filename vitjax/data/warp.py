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
    rows = _lerp(image, top, height, axis=0)
    return _lerp(rows, left, width, axis=1)


def _lerp(image: jax.Array, start: jax.Array, length: jax.Array, *, axis: int) -> jax.Array:
    """Stretches `length` rows (or columns) from `start` on over the whole axis."""
    size = image.shape[axis]
    position = (jnp.arange(size) + 0.5) * (length / size) - 0.5
    position = jnp.clip(position, 0, length - 1)
    lower = position.astype(jnp.int32)
    upper = jnp.minimum(lower + 1, length - 1)
    weight = jnp.expand_dims(position - lower, tuple(i for i in range(image.ndim) if i != axis))
    a = jnp.take(image, start + lower, axis=axis, mode="clip")
    b = jnp.take(image, start + upper, axis=axis, mode="clip")
    return a + weight * (b - a)
