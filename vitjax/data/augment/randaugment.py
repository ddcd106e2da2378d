"""RandAugment (https://arxiv.org/abs/1909.13719) on the device, image by image.

The operations, their strengths and their rounding are those of `torchvision.transforms.RandAugment`
on a PIL image, with nearest interpolation and fill 0 (Rotate by the method "gather"). A vmapped
`lax.switch` would compute all fourteen operations, so they share work here: three shears, or one
gather, serve the six geometric ones, one blend the four enhancements, one table the last two.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vitjax.data.augment.autocontrast import autocontrast_table, floor_divide
from vitjax.data.augment.warp import (
    Shear,
    affine_nearest,
    rotation_matrix,
    rotation_reach,
    rotation_shears,
    shear,
)
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
METHODS = ("shears", "gather")  # how images are turned: `warp.rotate`, `warp.affine_nearest`

_SIGNED = tuple(name in OPERATIONS[1:10] for name in OPERATIONS)  # ShearX to Sharpness
_SHEAR, _TRANSLATE, _ROTATE = 0.3, 150 / 331, 30  # at MAX_MAGNITUDE: share, share, degrees
_ENHANCE = 0.9  # at MAX_MAGNITUDE: factor less 1
_KIND = (0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 4)  # which case of apply_operation holds each


def rand_augment(
    key: jax.Array,
    image: jax.Array,
    *,
    num_ops: int = 2,
    magnitude: int | jax.Array = 9,
    method: str = "shears",
) -> jax.Array:
    """Applies `num_ops` operations, each drawn from all, to an image [H, W, C] in [0, 255].

    `magnitude` in [0, 30] is shared by all operations; a signed one is negated half of the time.
    The result holds whole numbers; other values are rounded first. The `method` that rotates is
    "shears", a pixel off at most each way, or "gather", torchvision's, slow on TPUs.
    """
    height, width, channels = image.shape
    if channels not in (1, 3):
        raise UserError(
            f"RandAugment works on images of 1 or 3 channels, not {channels}; "
            "set config.data.augment.rand_augment_ops=0."
        )
    strengths = magnitudes(magnitude, height, width)
    largest = MAX_MAGNITUDE if isinstance(magnitude, jax.Array) else magnitude

    def step(image, draw):  # two uniform draws: which operation, which sign
        """Image and two draws, of an operation and of its sign -> the image after it."""
        op = jnp.floor(draw[0] * len(OPERATIONS)).astype(jnp.int32)
        negate = jnp.array(_SIGNED)[op] & (draw[1] < 0.5)
        strength = jnp.where(negate, -strengths[op], strengths[op])
        return apply_operation(image, op, strength, largest=largest, method=method), None

    return jax.lax.scan(step, jnp.round(image), jax.random.uniform(key, (num_ops, 2)))[0]


def magnitudes(magnitude: int | jax.Array, height: int, width: int) -> jax.Array:
    """Strength of each of OPERATIONS [14] at a magnitude in [0, 30], by torchvision's table.

    Shear in pixels per pixel, translation in pixels, rotation in degrees, enhancement factors
    less 1, posterize in bits kept, solarize as a grey level; 0 where there is no strength.
    """
    return jnp.asarray(_strengths(height, width))[magnitude]


def _strengths(height: int, width: int) -> np.ndarray:
    """Returns the whole table, [31, 14]."""
    zero, slope, enhance = np.zeros(MAX_MAGNITUDE + 1), _linspace(_SHEAR), _linspace(_ENHANCE)
    translate = [_linspace(_TRANSLATE * size) for size in (width, height)]
    geometric = [slope, slope, *translate, _linspace(_ROTATE)]
    steps = np.arange(MAX_MAGNITUDE + 1)
    points = [8 - np.round(steps / (MAX_MAGNITUDE / 4)), 255 - 8.5 * steps, zero, zero]
    return np.stack([zero, *geometric, *[enhance] * 4, *points], axis=1).astype(np.float32)


def _linspace(end: float) -> np.ndarray:
    """torch.linspace(0, end, 31) in float32, on CPUs that multiply and add with one rounding."""
    last = np.float32(end)
    step = np.float64(last / np.float32(MAX_MAGNITUDE))  # double, so that no product is rounded
    place = np.arange(MAX_MAGNITUDE + 1)
    from_end = last - step * (MAX_MAGNITUDE - place)  # as the upper half is counted
    return np.where(place < len(place) // 2, step * place, from_end).astype(np.float32)


def apply_operation(
    image: jax.Array,
    op: jax.Array,
    magnitude: jax.Array,
    *,
    largest: int = MAX_MAGNITUDE,
    method: str = "shears",
) -> jax.Array:
    """Applies OPERATIONS[op] to an image [H, W, C] of whole numbers in [0, 255] -> the same.

    `magnitude` is at most the strength that `magnitudes` gives for `largest`.
    """
    height, width, _ = image.shape
    if method == "gather":
        moved = affine_nearest(image, _matrix(op, magnitude, height, width))
    else:
        shears = _shears(op, magnitude, height, width)
        moved = shear(image.astype(jnp.uint8), shears, _reach(largest, height, width))
    cases = (
        moved.astype(image.dtype),
        _enhance(image, op, 1 + magnitude),
        _posterize(image, magnitude),
        jnp.where(image < magnitude, image, 255 - image),  # solarize
        _by_table(image, op),
    )
    return jax.lax.select_n(jnp.array(_KIND)[op], *cases)


def _shears(
    op: jax.Array, magnitude: jax.Array, height: int, width: int
) -> tuple[Shear, Shear, Shear]:
    """Shears along x, y and x of a geometric operation; the identity for any other."""

    def of(name: str, value: jax.Array) -> jax.Array:
        return jnp.where(op == OPERATIONS.index(name), value, 0.0)

    turn_x, turn_y = rotation_shears(of("Rotate", magnitude), height, width)
    shift = -jnp.trunc(magnitude)
    along_y = Shear(turn_y.slope + of("ShearY", magnitude), turn_y.offset + of("TranslateY", shift))
    along_x = Shear(turn_x.slope + of("ShearX", magnitude), turn_x.offset + of("TranslateX", shift))
    return turn_x, along_y, along_x


def _reach(magnitude: int, height: int, width: int) -> tuple[int, int, int]:
    """How far each of these shears moves a line at most."""
    part = magnitude / MAX_MAGNITUDE
    turn_x, turn_y = rotation_reach(_ROTATE * part, height, width)
    along_x, along_y = (
        max(turn, math.ceil(_SHEAR * part * across), math.ceil(_TRANSLATE * part * along))
        for turn, across, along in ((turn_x, height, width), (turn_y, width, height))
    )
    return turn_x, along_y, along_x


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
    num_pixels = image.shape[0] * image.shape[1]
    total = jnp.sum(grey.astype(jnp.int32))  # of integers, so that no order of summing shows
    mean = ((2 * total + num_pixels) // (2 * num_pixels)).astype(image.dtype)
    without = jax.lax.select_n(
        jnp.clip(op - OPERATIONS.index("Brightness"), 0, 3),
        jnp.zeros_like(image),
        jnp.broadcast_to(grey, image.shape),
        jnp.full_like(image, mean),
        _smooth(image),
    )
    difference = image - without
    # Two parts of 12 bits have exact products: whether or not a compiler fuses them with the sums,
    # the product is rounded once and the result once, as in PIL.
    high = jax.lax.bitcast_convert_type(factor, jnp.int32) & ~0xFFF
    high = jax.lax.bitcast_convert_type(high, jnp.float32)
    product = high * difference + (factor - high) * difference
    return jnp.floor(jnp.clip(without + product, 0, 255))


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


def _by_table(image: jax.Array, op: jax.Array) -> jax.Array:
    """AutoContrast or Equalize: replaces each level of a channel by another."""
    values = image.astype(jnp.int32)
    low, high = jnp.min(values, axis=(0, 1)), jnp.max(values, axis=(0, 1))
    stretch = op == OPERATIONS.index("AutoContrast")
    table = jnp.where(stretch, autocontrast_table(low, high), _equalize_table(values, high))
    # As a running sum, which XLA computes once: the rest it would repeat for each pixel on CPUs.
    table = jnp.cumsum(jnp.diff(table, prepend=0), axis=1)
    return _by_platform(look_up, look_up_by_products, values, table.astype(image.dtype))


def _equalize_table(values: jax.Array, high: jax.Array) -> jax.Array:
    """Flattens each channel's histogram as PIL's ImageOps.equalize; few values stay as they are."""
    histogram = _by_platform(count, count_by_products, values)  # [C, 256]
    below = jnp.cumsum(histogram, axis=1) - histogram  # pixels of a smaller value
    levels = jnp.arange(256)
    step = jnp.sum(jnp.where(levels < high[:, None], histogram, 0), axis=1, keepdims=True) // 255
    table = jnp.minimum(floor_divide(below + step // 2, jnp.maximum(step, 1)), 255)
    return jnp.where(step > 0, table, levels)


def _by_platform(on_cpu: Callable, elsewhere: Callable, *args: jax.Array) -> jax.Array:
    """Two ways to the same bits: other devices scatter and gather single values slowly."""
    return jax.lax.platform_dependent(*args, cpu=on_cpu, default=elsewhere)


def count(values: jax.Array) -> jax.Array:
    """How often each of 256 values is in each channel: [H, W, C] -> int32 [C, 256]."""
    channels = jnp.arange(values.shape[-1])
    return jnp.zeros((len(channels), 256), jnp.int32).at[channels, values].add(1)


def count_by_products(values: jax.Array) -> jax.Array:
    """As `count`, without a scatter."""
    high, low = _digits(values)
    return jnp.einsum("yxci,yxcj->cij", high, low).astype(jnp.int32).reshape(-1, 256)


def look_up(values: jax.Array, table: jax.Array) -> jax.Array:
    """Values [H, W, C] in [0, 256), each replaced by what its channel's table [C, 256] holds."""
    return table[jnp.arange(len(table)), values]


def look_up_by_products(values: jax.Array, table: jax.Array) -> jax.Array:
    """As `look_up`, without a gather."""
    high, low = _digits(values)
    return jnp.sum(jnp.einsum("cij,yxci->yxcj", table.reshape(-1, 16, 16), high) * low, axis=-1)


def _digits(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One-hot upper and lower 4 bits [H, W, C, 16] of values, for products of whole numbers.

    Up to 256 they are exact in any precision, and so are their sums in float32.
    """
    levels = jnp.arange(16)
    high, low = (digit[..., None] == levels for digit in (values // 16, values % 16))
    return high.astype(jnp.float32), low.astype(jnp.float32)
