"""How much of its accuracy a run keeps on corrupted images.

In the spirit of ImageNet-C (https://arxiv.org/abs/1903.12261): six corruptions at five strengths,
relative to the image's size, so that they mean the same for small images. Everything happens on the
device, and by the number of an image in its split alone: the same in any batch, on any device.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vitjax import prng
from vitjax.data.augment.lines import Lines, blend, sample
from vitjax.data.augment.warp import rotate
from vitjax.data.dataset import Split
from vitjax.data.images import in_slices
from vitjax.inference.predictor import Predictor

_SEED = 0  # of all draws: the same noise and directions for every model and strength
_AT_ONCE = 2**25  # values of pixels in float32, so that large images take no more memory


class Corruption(NamedTuple):
    """One way to spoil an image, at five strengths."""

    strengths: tuple[float, ...]
    unit: str  # what a strength is
    # A key, an image float32 [H, W, C] in [0, 255] and a strength -> the same, before rounding.
    apply: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def noise(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    """Adds white Gaussian noise to an image [H, W, C]; `share` of the 255 levels deviate."""
    return image + 255 * share * jax.random.normal(key, image.shape)


def blur(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    """Blurs an image [H, W, C] by a Gaussian; its deviation is a `share` of the shorter side.

    At the border the weights are those of the pixels inside, scaled up to a sum of 1.
    """
    del key

    def matrix(size: int) -> jax.Array:
        away = jnp.arange(size)[:, None] - jnp.arange(size)
        weights = jnp.exp(-0.5 * (away / (share * min(image.shape[:2]))) ** 2)
        return weights / jnp.sum(weights, axis=1, keepdims=True)

    return blend(image, *map(matrix, image.shape[:2]))


def contrast(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    """Keeps a `share` of the difference of an image [H, W, C] from its channels' means."""
    del key
    mean = jnp.mean(image, axis=(0, 1))
    return mean + share * (image - mean)


def pixelate(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    """Shows an image [H, W, C] by fewer pixels, a `share` of each side's: means of what they cover.

    They are enlarged again to the nearest of the old ones.
    """
    del key

    def matrix(size: int) -> jax.Array:
        count = jnp.maximum(jnp.round(share * size), 1)
        pixel = jnp.arange(size)
        start = (jnp.floor((pixel + 0.5) * count / size) * size / count)[:, None]
        end = start + size / count
        covered = jnp.minimum(pixel + 1, end) - jnp.maximum(pixel, start)
        return jnp.maximum(covered, 0) * count / size

    return blend(image, *map(matrix, image.shape[:2]))


def rotation(key: jax.Array, image: jax.Array, degrees: jax.Array) -> jax.Array:
    """Turns an image [H, W, C] about its centre one way or the other; 0 outside."""
    turned, _ = rotate(image.astype(jnp.uint8), degrees * _sign(key), largest=45)
    return turned


def shift(key: jax.Array, image: jax.Array, share: jax.Array) -> jax.Array:
    """Shifts an image [H, W, C] up or down, and left or right, by a `share` of both sides.

    By whole pixels; 0 outside.
    """
    keys = jax.random.split(key)
    moved = [
        Lines.all(size).shifted(_sign(key) * jnp.round(share * size).astype(jnp.int32))
        for key, size in zip(keys, image.shape, strict=False)
    ]
    return sample(image, *moved)


def _sign(key: jax.Array) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key), 1, -1)


CORRUPTIONS = {
    "noise": Corruption(
        (0.04, 0.08, 0.12, 0.18, 0.26), "standard deviation, of the range of grey levels", noise
    ),
    "blur": Corruption(
        (0.01, 0.015, 0.02, 0.03, 0.04), "standard deviation, of the shorter side", blur
    ),
    "contrast": Corruption((0.75, 0.5, 0.4, 0.3, 0.15), "what of it is left", contrast),
    "pixelate": Corruption(
        (0.75, 0.6, 0.5, 0.4, 0.3), "what is left of each side's pixels", pixelate
    ),
    "rotation": Corruption((5, 10, 20, 30, 45), "degrees, either way", rotation),
    "shift": Corruption((0.04, 0.08, 0.12, 0.16, 0.2), "of both sides, either way", shift),
}


@functools.partial(jax.jit, static_argnames="name")
def corrupt(name: str, images: jax.Array, numbers: jax.Array, strength: jax.Array) -> jax.Array:
    """Corrupts images uint8 [B, H, W, C], whose `numbers` [B] are those in their split; the same.

    Among others, a mean that lies between two grey levels may be rounded otherwise.
    `name` is one of CORRUPTIONS, `strength` in its unit.
    """
    key = prng.key(_SEED)

    def one(image_and_number: tuple[jax.Array, jax.Array]) -> jax.Array:
        image, number = image_and_number
        own = jax.random.fold_in(key, number)
        changed = CORRUPTIONS[name].apply(own, image.astype(jnp.float32), strength)
        return jnp.clip(jnp.round(changed), 0, 255).astype(jnp.uint8)

    at_once = max(_AT_ONCE // math.prod(images.shape[1:]), 1)
    return jax.lax.map(one, (images, numbers), batch_size=min(len(images), at_once))


def corruption_numbers(predictor: Predictor, split: Split) -> dict[str, Any]:
    """Returns the accuracies on a split under each corruption at each strength, and their mean."""
    correct = {name: np.zeros(len(of.strengths), int) for name, of in CORRUPTIONS.items()}
    size, first = predictor.slice_size(split.images), 0
    for part in in_slices(split.images, size):
        # One shape for all parts, so that each program is compiled once.
        images = jnp.asarray(np.pad(part, ((0, size - len(part)), *[(0, 0)] * 3)))
        numbers = first + np.arange(size, dtype=np.int32)
        labels = split.labels[first : first + len(part)]
        for name, of in CORRUPTIONS.items():
            for i, strength in enumerate(of.strengths):
                logits = predictor.logits(corrupt(name, images, numbers, np.float32(strength)))
                correct[name][i] += np.sum(logits[: len(part)].argmax(axis=1) == labels)
        first += len(part)
    accuracies = {name: (count / len(split)).tolist() for name, count in correct.items()}
    return {
        "mean_accuracy": float(np.mean([*accuracies.values()])),
        "corruptions": {
            name: {"unit": of.unit, "strengths": [*of.strengths], "accuracy": accuracies[name]}
            for name, of in CORRUPTIONS.items()
        },
    }


def examples(image: np.ndarray, number: int) -> np.ndarray:
    """One image uint8 [H, W, C], by its number, under every corruption: [6, 5, H, W, C]."""
    at = np.array([number], np.int32)
    return np.stack(
        [
            [np.asarray(corrupt(name, image[None], at, np.float32(s)))[0] for s in of.strengths]
            for name, of in CORRUPTIONS.items()
        ]
    )
