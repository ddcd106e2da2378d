"""PIL's ImageOps.autocontrast on the device, with the rounding of its double precision.

PIL makes of a level x in a channel from low to high int(x * s - low * s), s = 255 / (high - low),
in doubles. Where the exact value is a whole number n, their rounding may leave a little less, and
int makes n - 1 of it. Devices lack doubles, but how much is lost follows from the last bits alone.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

_BITS = 53  # of a double


def autocontrast_table(low: jax.Array, high: jax.Array) -> jax.Array:
    """What becomes of the levels of channels from `low` to `high`: int32 [C] -> int32 [C, 256].

    They are stretched to [0, 255]; a channel of one level stays. Levels outside are as the nearest.
    """
    low, high = low[:, None], high[:, None]
    levels = jnp.clip(jnp.arange(256), low, high)
    span = jnp.maximum(high - low, 1)
    share = (levels - low) * 255
    stretched = floor_divide(share, span)
    whole = share == stretched * span
    short = whole & _falls_short(levels, low, span, stretched)
    return jnp.where(high > low, stretched - short, levels)


def _falls_short(levels: jax.Array, low: jax.Array, span: jax.Array, n: jax.Array) -> jax.Array:
    """Whether PIL's double for (levels - low) * 255 / span is below n, which it is in truth."""
    scale = jnp.sum(jnp.where(jnp.arange(256) == span, _SCALES[:, None], 0), axis=-1)
    exponent, last_bits, rest = scale[..., None]
    of_level, of_low = (_rounding(x, span, exponent, last_bits, rest) for x in (levels, low))
    # How far the difference of the two products is below n, in units of the scale's last bit.
    short = (levels - low) * rest - span * (of_level - of_low)
    # It is rounded in turn: to n again up to half of the last bit of doubles just below n.
    return short << (exponent + 2) > span << _num_bits(n - 1)


def _rounding(
    x: jax.Array, span: jax.Array, exponent: jax.Array, last_bits: jax.Array, rest: jax.Array
) -> jax.Array:
    """What rounding adds to the product of x and the scale, in units of the scale's last bit."""
    whole = floor_divide(255 * x - (rest > 0), span)  # of the product
    dropped = jnp.maximum(_num_bits(whole) - 1 - exponent, 0)  # bits that a double has no room for
    product = x * last_bits
    last_kept = (product >> dropped) & 1
    up = jnp.maximum(((1 << dropped) >> 1) - 1 + last_kept, 0)  # of two as near, to the even one
    return ((product + up) >> dropped << dropped) - product


def _num_bits(x: jax.Array) -> jax.Array:
    """How many bits whole numbers have; 0 for those below 1."""
    return 32 - jax.lax.clz(jnp.maximum(x, 0))


def _scales() -> np.ndarray:
    """Of 255 / span as a double, m * 2 ** -k with m of 53 bits, for each span up to 255: [3, 256].

    Its exponent, the last 9 bits of m, and the rest 255 * 2 ** k - m * span.
    """
    columns = []
    for span in range(256):
        mantissa, exponent = math.frexp(255 / max(span, 1))
        m, k = int(mantissa * 2**_BITS), _BITS - exponent
        columns.append((exponent - 1, m % 512, 255 * 2**k - m * max(span, 1)))
    return np.array(columns, np.int32).T


_SCALES = _scales()


def floor_divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """a // b of whole numbers, by float32: vectorised, and right where division is not exact."""
    return jnp.floor((a + 0.5) / b).astype(a.dtype)
