"""Random changes of one image on the device: pure functions of it and its key.

What changes rows and columns alone is written in `lines`, where several become one.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from vitjax.data.augment import lines
from vitjax.data.augment.warp import affine_nearest, rotate, rotation_matrix
from vitjax.errors import UserError

_LARGEST_ANGLE = 180.0  # degrees


def random_crop(key: jax.Array, image: jax.Array, *, padding: int | jax.Array) -> jax.Array:
    """Shifts an image [H, W, C] by up to `padding` pixels each way; what enters is 0.

    torchvision's `RandomCrop(size, padding)` on an image that has that size already.
    """
    return lines.read(image, [functools.partial(lines.crop, key, padding=padding)])


def horizontal_flip(
    key: jax.Array, image: jax.Array, *, probability: float | jax.Array = 0.5
) -> jax.Array:
    """Mirrors an image [H, W, C] left to right (torchvision's `RandomHorizontalFlip`)."""
    return lines.read(image, [functools.partial(lines.flip_columns, key, probability=probability)])


def vertical_flip(
    key: jax.Array, image: jax.Array, *, probability: float | jax.Array = 0.5
) -> jax.Array:
    """Mirrors an image [H, W, C] top to bottom (torchvision's `RandomVerticalFlip`)."""
    return lines.read(image, [functools.partial(lines.flip_rows, key, probability=probability)])


def rotation(
    key: jax.Array, image: jax.Array, *, degrees: float | jax.Array, method: str = "shears"
) -> jax.Array:
    """Turns an image [H, W, C] about its centre by an angle uniform in +-`degrees`; 0 outside.

    "gather" reads the nearest pixel, as torchvision's `RandomRotation(degrees)` on a PIL image;
    "shears" one up to 1.42 pixels off (`warp.rotate`), for a hundredth of the bytes on a TPU.
    """
    image, steps = rotated(key, image, degrees=degrees, method=method)
    return lines.read(image, steps)


def random_resized_crop(
    key: jax.Array,
    image: jax.Array,
    *,
    scale: Sequence[float] | jax.Array,
    ratio: Sequence[float] | jax.Array,
) -> jax.Array:
    """Resizes a random box of an image [H, W, C] back to [H, W, C], bilinearly.

    torchvision's `RandomResizedCrop(size, scale, ratio, antialias=False)`, without rounding: the
    box has a share of the area uniform in `scale` and width / height log-uniform in `ratio`.
    """
    return lines.read(image, [functools.partial(lines.box, key, scale=scale, ratio=ratio)])


def random_erasing(
    key: jax.Array,
    image: jax.Array,
    *,
    probability: float | jax.Array,
    scale: Sequence[float] | jax.Array = (0.02, 0.33),
    ratio: Sequence[float] | jax.Array = (0.3, 3.3),
    value: Sequence[float] | jax.Array,
) -> jax.Array:
    """Fills a random box of an image [H, W, C] with `value` [C]; none if no attempt at one fits.

    Random erasing (https://arxiv.org/abs/1708.04896) as torchvision's `RandomErasing`, where
    `ratio` is height / width. With 255 * mean as the value, the box is 0 after `normalise`.
    """
    height, width, _ = image.shape
    draws = jax.random.uniform(key, (3 + 2 * lines.ATTEMPTS,))
    heights, widths = lines.sides(draws[3:], height * width, scale, ratio)
    fits = (heights < height) & (widths < width)
    first = jnp.argmax(fits)
    box = jnp.stack([heights[first], widths[first]]).astype(jnp.int32)
    box = jnp.where(fits[first] & (draws[2] < probability), box, 0)
    top, left = lines.below(draws[:2], jnp.array([height, width]) - box + 1)
    y, x = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
    inside = (y >= top) & (y < top + box[0]) & (x >= left) & (x < left + box[1])
    filled = jnp.broadcast_to(jnp.asarray(value, image.dtype), image.shape)
    return jnp.where(inside, filled, image)


def normalise(images: jax.Array, mean: Sequence[float], std: Sequence[float]) -> jax.Array:
    """Images [..., H, W, C] in [0, 255] -> (images / 255 - mean) / std, float32; both of [C]."""
    channels = images.shape[-1]
    if len(mean) != channels or len(std) != channels:
        raise UserError(
            f"images have {channels} channels, mean has {len(mean)} values and std {len(std)}; "
            "expected one of each per channel."
        )
    return (images.astype(jnp.float32) / 255 - jnp.array(mean)) / jnp.array(std)


def resize(images: jax.Array, image_shape: tuple[int, int, int]) -> jax.Array:
    """Images [B, H, W, C] -> [B, *image_shape], bilinearly; as they are where that is theirs."""
    if images.shape[1:] == image_shape:
        return images
    return jax.image.resize(images, (images.shape[0], *image_shape), "bilinear")


def rotated(
    key: jax.Array, image: jax.Array, *, degrees: float | jax.Array, method: str
) -> tuple[jax.Array, list[lines.Step]]:
    """Returns the image turned, but for what can be done together with other changes of lines."""
    angle = jax.random.uniform(key, minval=-degrees, maxval=degrees)
    if method == "gather":
        return affine_nearest(image, rotation_matrix(angle, *image.shape[:2])), []
    largest = _LARGEST_ANGLE if isinstance(degrees, jax.Array) else degrees
    image, mirrors = rotate(image, angle, largest=largest)
    if not mirrors:
        return image, []

    def mirror(rows: lines.Lines, columns: lines.Lines) -> tuple[lines.Lines, lines.Lines]:
        return rows.mirrored(mirrors[0]), columns.mirrored(mirrors[1])

    return image, [mirror]
