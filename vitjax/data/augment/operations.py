"""The operations of RandAugment and its kin on the device, image by image.

They, and their rounding, are those of torchvision's `RandAugment`, `AutoAugment` and
`TrivialAugmentWide` on a PIL image, with nearest interpolation and fill 0 (Rotate by the method
"gather"). A vmapped `lax.switch` would compute all fifteen, so they share work here: three shears,
or one gather, serve the six geometric ones, one blend the four enhancements, one table the last two
but Invert, which is Solarize from 0 on. `policies` says which are done, and how strong.
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
    split_rotation,
)

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
    "Invert",
)
SIGNED = tuple(name in OPERATIONS[1:10] for name in OPERATIONS)  # ShearX to Sharpness
METHODS = ("shears", "gather")  # how images are turned: `warp.rotate`, `warp.affine_nearest`

_KIND = (0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 4, 3)  # which case of apply_operation holds each


def strengths(
    bins: int,
    *,
    shear: float,
    translate: tuple[float, float],
    rotate: float,
    enhance: float,
    posterize: int,
) -> np.ndarray:
    """Strength of each of OPERATIONS in equal steps from nothing, as torchvision's: [bins, 15].

    The last are: shear in pixels per pixel, translation along x and y in pixels, rotation in
    degrees, enhancement factors less 1, bits that posterize drops. The table has the bits kept, and
    solarize as a grey level, from 255 to 0; 0 where there is no strength.
    """
    zero, slope, factor = np.zeros(bins), _linspace(0, shear, bins), _linspace(0, enhance, bins)
    moves = [_linspace(0, end, bins) for end in (*translate, rotate)]
    bits = 8 - np.round(np.arange(bins) / ((bins - 1) / posterize))
    points = [bits, _linspace(255, 0, bins), zero, zero, zero]
    table = [zero, slope, slope, *moves, *[factor] * 4, *points]
    return np.stack(table, axis=1).astype(np.float32)


def _linspace(start: float, end: float, count: int) -> np.ndarray:
    """torch.linspace in float32, on CPUs that multiply and add with one rounding."""
    first, last = np.float32(start), np.float32(end)
    # Double, so that no product is rounded.
    step = np.float64((last - first) / np.float32(count - 1))
    place = np.arange(count)
    from_end = last - step * (count - 1 - place)  # as the upper half is counted
    return np.where(place < count // 2, first + step * place, from_end).astype(np.float32)


def apply_operation(
    image: jax.Array,
    op: jax.Array,
    strength: jax.Array,
    *,
    largest: np.ndarray,
    method: str = "shears",
) -> jax.Array:
    """Applies OPERATIONS[op] to an image [H, W, C] of whole numbers in [0, 255] -> the same.

    `strength` is in the units of `strengths`, the geometric ones at most `largest` [15] either way.
    """
    height, width, _ = image.shape
    if method == "gather":
        moved = affine_nearest(image, _matrix(op, strength, height, width))
    else:
        moved = _by_shears(image, op, strength, largest)
    cases = (
        moved.astype(image.dtype),
        _enhance(image, op, 1 + strength),
        _posterize(image, strength),
        jnp.where(image < strength, image, 255 - image),  # solarize, and invert from 0 on
        _by_table(image, op),
    )
    return jax.lax.select_n(jnp.array(_KIND)[op], *cases)


def _by_shears(
    image: jax.Array, op: jax.Array, strength: jax.Array, largest: np.ndarray
) -> jax.Array:
    """A geometric operation by shears along x, y and x; the identity for any other."""
    height, width, _ = image.shape

    def of(name: str, value: jax.Array) -> jax.Array:
        return jnp.where(op == OPERATIONS.index(name), value, 0.0)

    angle = float(largest[OPERATIONS.index("Rotate")])
    turn, degrees, angle = split_rotation(of("Rotate", strength), angle, height, width)
    turn_x, turn_y = rotation_shears(degrees, height, width)
    shift = -jnp.trunc(strength)
    along_y = Shear(turn_y.slope + of("ShearY", strength), turn_y.offset + of("TranslateY", shift))
    along_x = Shear(turn_x.slope + of("ShearX", strength), turn_x.offset + of("TranslateX", shift))
    reach = _reach(largest, angle, height, width)
    return shear(image.astype(jnp.uint8), (turn_x, along_y, along_x), reach, turn)


def _reach(largest: np.ndarray, angle: float, height: int, width: int) -> tuple[int, int, int]:
    """How far each of these shears moves a line at most, where they turn by up to `angle`."""
    turn_x, turn_y = rotation_reach(angle, height, width)
    shear_x, shear_y, shift_x, shift_y = map(float, largest[1:5])
    along_x = max(turn_x, math.ceil(shear_x * height), math.ceil(shift_x))
    along_y = max(turn_y, math.ceil(shear_y * width), math.ceil(shift_y))
    return turn_x, along_y, along_x


def _matrix(op: jax.Array, strength: jax.Array, height: int, width: int) -> jax.Array:
    """Inverse map [2, 3] of a geometric operation; the identity for any other."""
    name = OPERATIONS.index
    identity = jnp.eye(2, 3)
    shear_x = identity.at[0, 1].set(strength)
    shear_y = identity.at[1, 0].set(strength)
    shift_x = identity.at[0, 2].set(-jnp.trunc(strength))
    shift_y = identity.at[1, 2].set(-jnp.trunc(strength))
    rotate = rotation_matrix(strength, height, width)
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
