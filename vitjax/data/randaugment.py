"""RandAugment (https://arxiv.org/abs/1909.13719) on the device, image by image.

The operations, their strengths and their rounding are those of `torchvision.transforms.RandAugment`
on a PIL image, with nearest interpolation and fill 0. A vmapped `lax.switch` would compute all
fourteen operations, so they share work here: one gather serves the six geometric ones and one blend
serves the four enhancements.
"""

import jax
import jax.numpy as jnp

from vitjax.data.warp import affine_nearest, rotation_matrix
from vitjax.errors import UserError

OPERATIONS = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
MAX_MAGNITUDE = 30  # torchvision's num_magnitude_bins - 1

_SIGNED = tuple(name in OPERATIONS[1:10] for name in OPERATIONS)  # ShearX to Sharpness
_KIND = (0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5)  # which case of apply_operation holds each


def rand_augment(
    key: jax.Array, image: jax.Array, *, num_ops: int = 2, magnitude: int | jax.Array = 9
) -> jax.Array:
    """Applies `num_ops` operations, each drawn from all, to an image [H, W, C] in [0, 255].

    `magnitude` in [0, 30] is shared by all operations; a signed one is negated half of the time.
    The result holds whole numbers; other values are rounded first.
    """
    height, width, channels = image.shape
    if channels not in (1, 3):
        raise UserError(
            f"RandAugment works on images of 1 or 3 channels, not {channels}; "
            "set config.data.augment.rand_augment_ops=0."
        )
    strengths = magnitudes(magnitude, height, width)

    def step(image, draw):  # two uniform draws: which operation, which sign
        op = jnp.floor(draw[0] * len(OPERATIONS)).astype(jnp.int32)
        negate = jnp.array(_SIGNED)[op] & (draw[1] < 0.5)
        return apply_operation(image, op, jnp.where(negate, -strengths[op], strengths[op])), None

    return jax.lax.scan(step, jnp.round(image), jax.random.uniform(key, (num_ops, 2)))[0]


def magnitudes(magnitude: int | jax.Array, height: int, width: int) -> jax.Array:
    """Strength of each of OPERATIONS [14] at a magnitude in [0, 30], by torchvision's table.

    Shear in pixels per pixel, translation in pixels, rotation in degrees, enhancement factors
    less 1, posterize in bits kept, solarize as a grey level; 0 where there is no strength.
    """
    part = jnp.asarray(magnitude, jnp.float32) / MAX_MAGNITUDE
    translate = part * jnp.array([width, height]) * (150 / 331)
    zero, shear, enhance = 0 * part, 0.3 * part, 0.9 * part
    geometric = [shear, shear, translate[0], translate[1], 30 * part]
    points = [8 - jnp.round(4 * part), 255 * (1 - part), zero, zero]
    return jnp.stack([zero, *geometric, *[enhance] * 4, *points])


def apply_operation(image: jax.Array, op: jax.Array, magnitude: jax.Array) -> jax.Array:
    """Applies OPERATIONS[op] to an image [H, W, C] of whole numbers in [0, 255] -> the same."""
    height, width, _ = image.shape
    cases = (
        affine_nearest(image, _matrix(op, magnitude, height, width)),
        _enhance(image, op, 1 + magnitude),
        _posterize(image, magnitude),
        jnp.where(image < magnitude, image, 255 - image),  # solarize
        _autocontrast(image),
        _equalize(image),
    )
    return jax.lax.select_n(jnp.array(_KIND)[op], *cases)


def _matrix(op: jax.Array, magnitude: jax.Array, height: int, width: int) -> jax.Array:
    """Inverse map [2, 3] of a geometric operation; the identity for any other."""
    name = OPERATIONS.index
    identity = jnp.eye(2, 3)
    shear_x = identity.at[0, 1].set(magnitude)
    shear_y = identity.at[1, 0].set(magnitude)
    shift_x = identity.at[0, 2].set(-jnp.trunc(magnitude))
    shift_y = identity.at[1, 2].set(-jnp.trunc(magnitude))
    rotate = rotation_matrix(magnitude, height, width)
    case = jnp.where(op <= name("Rotate"), op, name("Identity"))
    return jax.lax.select_n(case, identity, shear_x, shear_y, shift_x, shift_y, rotate)


def _enhance(image: jax.Array, op: jax.Array, factor: jax.Array) -> jax.Array:
    """Brightness, Color, Contrast or Sharpness: moves away from an image without that quality."""
    grey = _luminance(image)
    count = image.shape[0] * image.shape[1]
    total = jnp.sum(grey.astype(jnp.int32))  # of integers, so that no order of summing shows
    mean = ((2 * total + count) // (2 * count)).astype(image.dtype)
    without = jax.lax.select_n(
        jnp.clip(op - OPERATIONS.index("Brightness"), 0, 3),
        jnp.zeros_like(image),
        jnp.broadcast_to(grey, image.shape),
        jnp.full_like(image, mean),
        _smooth(image),
    )
    return jnp.floor(jnp.clip(without + factor * (image - without), 0, 255))


def _luminance(image: jax.Array) -> jax.Array:
    """Image [H, W, C] -> grey levels [H, W, 1], by PIL's fixed-point ITU-R 601 weights."""
    if image.shape[-1] == 1:
        return image
    weighted = image.astype(jnp.int32) * jnp.array([19595, 38470, 7471])
    return ((jnp.sum(weighted, axis=-1, keepdims=True) + 32768) >> 16).astype(image.dtype)


def _smooth(image: jax.Array) -> jax.Array:
    """PIL's ImageFilter.SMOOTH: weight 5/13 at the centre, 1/13 around it; the border stays."""
    height, width, _ = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
    column = padded[:-2] + padded[1:-1] + padded[2:]
    around = column[:, :-2] + column[:, 1:-1] + column[:, 2:]
    smooth = jnp.floor((around + 4 * image) / 13 + 0.5)
    y, x = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
    border = (y == 0) | (y == height - 1) | (x == 0) | (x == width - 1)
    return jnp.where(border, image, smooth)


def _posterize(image: jax.Array, bits: jax.Array) -> jax.Array:
    """Keeps the upper `bits` of each 8-bit value."""
    dropped = 8 - bits.astype(jnp.int32)
    return ((image.astype(jnp.int32) >> dropped) << dropped).astype(image.dtype)


def _autocontrast(image: jax.Array) -> jax.Array:
    """Stretches each channel to [0, 255]; a channel of one value stays."""
    low, high = jnp.min(image, axis=(0, 1)), jnp.max(image, axis=(0, 1))
    stretched = _floor_divide((image - low) * 255, jnp.maximum(high - low, 1))
    return jnp.where(high > low, stretched, image)


def _equalize(image: jax.Array) -> jax.Array:
    """Flattens each channel's histogram as PIL's ImageOps.equalize; few values stay as they are."""
    channels = image.shape[-1]
    values = image.reshape(-1, channels).astype(jnp.int32)
    histogram = jnp.zeros((256, channels), jnp.int32).at[values, jnp.arange(channels)].add(1)
    below = jnp.cumsum(histogram, axis=0) - histogram  # pixels of a smaller value
    step = jnp.take_along_axis(below, jnp.max(values, axis=0)[None], axis=0) // 255
    table = jnp.minimum(_floor_divide(below + step // 2, jnp.maximum(step, 1)), 255)
    table = jnp.where(step > 0, table, jnp.arange(256)[:, None])
    equalized = jnp.take_along_axis(table, values, axis=0, mode="clip")
    return equalized.reshape(image.shape).astype(image.dtype)


def _floor_divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """a // b of whole numbers as float32: vectorised, and right where division is not exact."""
    return jnp.floor((a + 0.5) / b)
