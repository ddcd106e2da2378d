"""Random operations on one image on the device: RandAugment, AutoAugment and TrivialAugment.

Each policy draws which of `operations` are done, and how strong, as torchvision does.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vitjax.data.augment.lines import below
from vitjax.data.augment.operations import OPERATIONS, SIGNED, apply_operation, strengths
from vitjax.errors import UserError

MAX_MAGNITUDE = 30  # of RandAugment: torchvision's num_magnitude_bins - 1

_NUM_DRAWN = OPERATIONS.index("Invert")  # RandAugment and TrivialAugment draw from those before it
_TRANSLATE = 150 / 331  # of the side, the most that RandAugment and AutoAugment translate

# AutoAugment's policy for CIFAR-10: twice an operation, its probability, its place in the table of
# 10 strengths (0 where it has none).
_CIFAR10 = (
    ("Invert", 0.1, 0, "Contrast", 0.2, 6),
    ("Rotate", 0.7, 2, "TranslateX", 0.3, 9),
    ("Sharpness", 0.8, 1, "Sharpness", 0.9, 3),
    ("ShearY", 0.5, 8, "TranslateY", 0.7, 9),
    ("AutoContrast", 0.5, 0, "Equalize", 0.9, 0),
    ("ShearY", 0.2, 7, "Posterize", 0.3, 7),
    ("Color", 0.4, 3, "Brightness", 0.6, 7),
    ("Sharpness", 0.3, 9, "Brightness", 0.7, 9),
    ("Equalize", 0.6, 0, "Equalize", 0.5, 0),
    ("Contrast", 0.6, 7, "Sharpness", 0.6, 5),
    ("Color", 0.7, 7, "TranslateX", 0.5, 8),
    ("Equalize", 0.3, 0, "AutoContrast", 0.4, 0),
    ("TranslateY", 0.4, 3, "Sharpness", 0.2, 6),
    ("Brightness", 0.9, 6, "Color", 0.2, 8),
    ("Solarize", 0.5, 2, "Invert", 0.0, 0),
    ("Equalize", 0.2, 0, "AutoContrast", 0.6, 0),
    ("Equalize", 0.2, 0, "Equalize", 0.6, 0),
    ("Color", 0.9, 9, "Equalize", 0.6, 0),
    ("AutoContrast", 0.8, 0, "Solarize", 0.2, 8),
    ("Brightness", 0.1, 3, "Color", 0.7, 0),
    ("Solarize", 0.4, 5, "AutoContrast", 0.9, 0),
    ("TranslateY", 0.9, 9, "TranslateY", 0.7, 9),
    ("AutoContrast", 0.9, 0, "Solarize", 0.8, 3),
    ("Equalize", 0.8, 0, "Invert", 0.1, 0),
    ("TranslateY", 0.7, 9, "AutoContrast", 0.9, 0),
)


def rand_augment(
    key: jax.Array,
    image: jax.Array,
    *,
    num_ops: int = 2,
    magnitude: int | jax.Array = 9,
    method: str = "shears",
) -> jax.Array:
    """Applies `num_ops` operations, each drawn from 14, to an image [H, W, C] in [0, 255].

    RandAugment (https://arxiv.org/abs/1909.13719): `magnitude` in [0, 30] is shared by all, a
    signed operation is negated half of the time. As of all policies here, the result holds whole
    numbers; other values are rounded first. The `method` that rotates is "shears", a pixel off at
    most each way, or "gather", torchvision's, slow on TPUs.
    """
    table = rand_augment_strengths(*image.shape[:2])
    draws = jax.random.uniform(key, (num_ops, 2))  # which operation, which sign
    ops = below(draws[:, 0], _NUM_DRAWN)
    strength = _signed(ops, jnp.asarray(table)[magnitude][ops], draws[:, 1])
    largest = table[MAX_MAGNITUDE if isinstance(magnitude, jax.Array) else magnitude]
    return _chain(image, ops, strength, largest, method)


def auto_augment_cifar10(key: jax.Array, image: jax.Array, *, method: str = "shears") -> jax.Array:
    """Applies one of 25 pairs of operations, each by its probability, to an image [H, W, C].

    AutoAugment's policy for CIFAR-10 (https://arxiv.org/abs/1805.09501), as torchvision's
    `AutoAugmentPolicy.CIFAR10`: a signed operation is negated half of the time.
    """
    table = auto_augment_table(*image.shape[:2])
    largest = np.zeros(len(OPERATIONS), np.float32)
    np.maximum.at(largest, table[0], table[2])
    draws = jax.random.uniform(key, (5,))  # which pair; whether each is done; which signs
    pair = below(draws[0], len(_CIFAR10))
    ops, probability, strength = (jnp.asarray(column)[pair] for column in table)
    strength = _signed(ops, strength, draws[3:])
    ops = jnp.where(draws[1:3] < probability, ops, OPERATIONS.index("Identity"))
    return _chain(image, ops, strength, largest, method)


def trivial_augment_wide(key: jax.Array, image: jax.Array, *, method: str = "shears") -> jax.Array:
    """Applies one operation, drawn from 14, at one of 31 strengths to an image [H, W, C].

    TrivialAugment Wide (https://arxiv.org/abs/2103.10158), as torchvision's `TrivialAugmentWide`: a
    signed operation is negated half of the time.
    """
    table = trivial_augment_strengths()
    draws = jax.random.uniform(key, (3,))  # which operation, which strength, which sign
    op, place = below(draws[0], _NUM_DRAWN), below(draws[1], len(table))
    strength = _signed(op, jnp.asarray(table)[place, op], draws[2])
    return _chain(image, op[None], strength[None], table[-1], method)


POLICIES: dict[str, Callable[..., jax.Array]] = {
    "autoaugment_cifar10": auto_augment_cifar10,
    "trivial_wide": trivial_augment_wide,
}


def rand_augment_strengths(height: int, width: int, bins: int = MAX_MAGNITUDE + 1) -> np.ndarray:
    """RandAugment's table of strengths, and with 10 bins AutoAugment's: [bins, 15]."""
    translate = _TRANSLATE * width, _TRANSLATE * height
    return strengths(bins, shear=0.3, translate=translate, rotate=30, enhance=0.9, posterize=4)


def trivial_augment_strengths() -> np.ndarray:
    """TrivialAugment's table of strengths, [31, 15]; translations are up to 32 pixels."""
    return strengths(31, shear=0.99, translate=(32, 32), rotate=135, enhance=0.99, posterize=6)


def auto_augment_table(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AutoAugment's pairs of operations, their probabilities and strengths, each [25, 2]."""
    bins = rand_augment_strengths(height, width, bins=10)
    columns: list[Any] = list(zip(*_CIFAR10, strict=True))
    ops = np.array([list(map(OPERATIONS.index, column)) for column in columns[::3]]).T
    probabilities, places = np.array(columns[1::3]).T, np.array(columns[2::3]).T
    return ops, probabilities.astype(np.float32), bins[places, ops]


def _signed(ops: jax.Array, strength: jax.Array, draws: jax.Array) -> jax.Array:
    """Negates the strengths of signed operations where a draw is below 1/2."""
    return jnp.where(jnp.array(SIGNED)[ops] & (draws < 0.5), -strength, strength)


def _chain(
    image: jax.Array, ops: jax.Array, strength: jax.Array, largest: np.ndarray, method: str
) -> jax.Array:
    """Applies operations [N] of these strengths [N], one after the other."""
    channels = image.shape[-1]
    if channels not in (1, 3):
        raise UserError(
            f"RandAugment and its kin work on images of 1 or 3 channels, not {channels}; set "
            "config.data.augment.rand_augment_ops=0 and config.data.augment.policy=''."
        )
    apply = functools.partial(apply_operation, largest=largest, method=method)

    def step(image: jax.Array, drawn: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return apply(image, *drawn), None

    return jax.lax.scan(step, jnp.round(image), (ops, strength))[0]
