"""Augmentation on the device: pure functions of one example and its key, and the chain of them."""

import dataclasses
import functools
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vitjax.data import mix
from vitjax.data.randaugment import MAX_MAGNITUDE, rand_augment
from vitjax.data.warp import affine_nearest, resize_box, rotation_matrix, take_pixels
from vitjax.errors import UserError

_ATTEMPTS = 10  # boxes drawn before torchvision falls back
_MIX_STREAM = 100  # which key batch() uses; images() uses the place of each operation, from 0


def random_crop(key: jax.Array, image: jax.Array, *, padding: int | jax.Array) -> jax.Array:
    """Shifts an image [H, W, C] by up to `padding` pixels each way; what enters is 0.

    torchvision's `RandomCrop(size, padding)` on an image that has that size already.
    """
    top, left = _below(jax.random.uniform(key, (2,)), 2 * padding + 1) - padding
    rows, columns = jnp.arange(image.shape[0]) + top, jnp.arange(image.shape[1]) + left
    return take_pixels(image, rows[:, None], columns)


def horizontal_flip(
    key: jax.Array, image: jax.Array, *, probability: float | jax.Array = 0.5
) -> jax.Array:
    """Mirrors an image [H, W, C] left to right (torchvision's `RandomHorizontalFlip`)."""
    return _flip(key, image, probability, axis=1)


def vertical_flip(
    key: jax.Array, image: jax.Array, *, probability: float | jax.Array = 0.5
) -> jax.Array:
    """Mirrors an image [H, W, C] top to bottom (torchvision's `RandomVerticalFlip`)."""
    return _flip(key, image, probability, axis=0)


def rotation(key: jax.Array, image: jax.Array, *, degrees: float | jax.Array) -> jax.Array:
    """Turns an image [H, W, C] about its centre by an angle uniform in +-`degrees`.

    torchvision's `RandomRotation(degrees)` on a PIL image: nearest pixel, 0 outside.
    """
    angle = jax.random.uniform(key, minval=-degrees, maxval=degrees)
    return affine_nearest(image, rotation_matrix(angle, *image.shape[:2]))


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
    height, width, _ = image.shape
    draws = jax.random.uniform(key, (2 + 2 * _ATTEMPTS,))
    widths, heights = _sides(draws[2:], height * width, scale, ratio)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = jnp.argmax(fits)  # 0 where none fits
    # Without a fit: the largest box in the middle whose shape is within `ratio`.
    found = fits[first]
    box_width = jnp.where(found, widths[first], jnp.minimum(width, jnp.round(height * ratio[1])))
    box_height = jnp.where(found, heights[first], jnp.minimum(height, jnp.round(width / ratio[0])))
    box = jnp.stack([box_height, box_width]).astype(jnp.int32)
    room = jnp.array([height, width]) - box
    top, left = jnp.where(found, _below(draws[:2], room + 1), room // 2)
    return resize_box(image, top, left, box[0], box[1])


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
    draws = jax.random.uniform(key, (3 + 2 * _ATTEMPTS,))
    heights, widths = _sides(draws[3:], height * width, scale, ratio)
    fits = (heights < height) & (widths < width)
    first = jnp.argmax(fits)
    box = jnp.stack([heights[first], widths[first]]).astype(jnp.int32)
    box = jnp.where(fits[first] & (draws[2] < probability), box, 0)
    top, left = _below(draws[:2], jnp.array([height, width]) - box + 1)
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
    return jax.image.resize(images, (len(images), *image_shape), "bilinear")


def _flip(
    key: jax.Array, image: jax.Array, probability: float | jax.Array, *, axis: int
) -> jax.Array:
    """Reads the axis backwards or not: a select of two images would compute the image twice."""
    place = jnp.arange(image.shape[axis])
    place = jnp.where(jax.random.bernoulli(key, probability), place[::-1], place)
    return jnp.take(image, place, axis=axis, mode="clip")


def _below(draws: jax.Array, bound: int | jax.Array) -> jax.Array:
    """Draws uniform in [0, 1) -> whole numbers uniform in [0, bound), for one hash of the key."""
    return jnp.floor(draws * bound).astype(jnp.int32)


def _sides(
    draws: jax.Array,
    pixels: int,
    scale: Sequence[float] | jax.Array,
    ratio: Sequence[float] | jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Draws [2N] -> sides a, b [N] of boxes: a * b / pixels uniform in `scale`, a / b in `ratio`.

    The ratio is uniform in its logarithm; the sides are rounded to whole pixels.
    """
    for_area, for_shape = jnp.split(draws, 2)
    area = pixels * (scale[0] + for_area * (scale[1] - scale[0]))
    shape = ratio[0] * (ratio[1] / ratio[0]) ** for_shape
    return jnp.round(jnp.sqrt(area * shape)), jnp.round(jnp.sqrt(area / shape))


def _is_on(strength: Any) -> bool:
    """Whether an operation is done: a number above 0, a range, or whatever is traced."""
    return isinstance(strength, jax.Array) or bool(strength)


def _is_number(value: Any, low: float, high: float = math.inf) -> bool:
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value) and low <= value <= high


def _is_integer(value: Any, low: int, high: float = math.inf) -> bool:
    return isinstance(value, numbers.Integral) and _is_number(value, low, high)


def _is_range(value: Any, high: float = math.inf) -> bool:
    is_pair = isinstance(value, tuple) and len(value) == 2
    return is_pair and all(_is_number(v, 0, high) for v in value) and 0 < value[0] <= value[1]


_BOOL = ("True or False", lambda v: isinstance(v, bool))
_COUNT = ("a whole number, 0 or more", lambda v: _is_integer(v, 0))
_ALPHA = ("a number, 0 or more", lambda v: _is_number(v, 0))
EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "crop_padding": _COUNT,
    "horizontal_flip": _BOOL,
    "vertical_flip": _BOOL,
    "rotation_degrees": ("a number in [0, 180]", lambda v: _is_number(v, 0, 180)),
    "resized_crop_scale": (
        "() or (low, high) with 0 < low <= high <= 1",
        lambda v: v == () or _is_range(v, 1),
    ),
    "resized_crop_ratio": ("(low, high) with 0 < low <= high", _is_range),
    "rand_augment_ops": _COUNT,
    "rand_augment_magnitude": (
        f"a whole number in [0, {MAX_MAGNITUDE}]",
        lambda v: _is_integer(v, 0, MAX_MAGNITUDE),
    ),
    "erasing_probability": ("a number in [0, 1]", lambda v: _is_number(v, 0, 1)),
    "mixup_alpha": _ALPHA,
    "cutmix_alpha": _ALPHA,
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What `config.data.augment` holds: options as plain values, checked here, applied in order.

    A strength may also be a jax.Array, traced or not: such an operation is on, and is not checked.
    Each operation takes its own part of an example's key, so enabling one changes no other's draws.
    """

    crop_padding: int = 0  # pixels of zero padding before a random crop; 0 = off
    horizontal_flip: bool = False  # with probability 1/2
    vertical_flip: bool = False  # with probability 1/2
    rotation_degrees: float = 0.0  # largest angle either way; 0 = off
    resized_crop_scale: tuple[float, ...] = ()  # smallest and largest share of the area; () = off
    resized_crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)  # narrowest and widest width / height
    rand_augment_ops: int = 0  # RandAugment operations per image; 0 = off
    rand_augment_magnitude: int = 9  # of RandAugment, in [0, 30]
    erasing_probability: float = 0.0  # of a random box filled with the mean
    mixup_alpha: float = 0.0  # of Beta(alpha, alpha); 0 = off
    cutmix_alpha: float = 0.0  # of Beta(alpha, alpha); 0 = off

    def __post_init__(self):
        for name in ("resized_crop_scale", "resized_crop_ratio"):
            if isinstance(getattr(self, name), list):  # as read from JSON
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, (expected, is_valid) in EXPECTED.items():
            value = getattr(self, name)
            if not (isinstance(value, jax.Array) or is_valid(value)):
                raise UserError(f"config.data.augment.{name}={value!r}; expected {expected}.")

    def images(
        self, keys: jax.Array, images: jax.Array, mean: Sequence[float], std: Sequence[float]
    ) -> jax.Array:
        """Keys [B] and images [B, H, W, C] uint8 -> augmented, normalised float32 [B, H, W, C].

        In this order: crop, rotation, horizontal flip, vertical flip, resized crop, RandAugment,
        erasing, normalise. An example's result depends on its key and its pixels alone.
        """
        if images.dtype != jnp.uint8:
            raise UserError(f"images are {images.dtype}; expected uint8, before normalising.")
        value = [255 * x for x in mean]
        scale, ratio = self.resized_crop_scale, self.resized_crop_ratio
        ops, magnitude = self.rand_augment_ops, self.rand_augment_magnitude
        chain: tuple[tuple[bool, Callable], ...] = (
            (_is_on(self.crop_padding), functools.partial(random_crop, padding=self.crop_padding)),
            (
                _is_on(self.rotation_degrees),
                functools.partial(rotation, degrees=self.rotation_degrees),
            ),
            (self.horizontal_flip, horizontal_flip),
            (self.vertical_flip, vertical_flip),
            (_is_on(scale), functools.partial(random_resized_crop, scale=scale, ratio=ratio)),
            (ops > 0, functools.partial(rand_augment, num_ops=ops, magnitude=magnitude)),
            (
                _is_on(self.erasing_probability),
                functools.partial(
                    random_erasing, probability=self.erasing_probability, value=value
                ),
            ),
        )

        def augment(key, image):
            for place, (enabled, operation) in enumerate(chain):
                if enabled:
                    image = operation(jax.random.fold_in(key, place), image)
            return image

        images = images.astype(jnp.float32)
        if any(enabled for enabled, _ in chain):
            images = jax.vmap(augment)(keys, images)
        return normalise(images, mean, std)

    def batch(
        self, keys: jax.Array, images: jax.Array, targets: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Mixes each example with the one before it in the batch: mixup, CutMix, or one of the two.

        Keys [B] (those given to `images` do: the draws differ), images [B, H, W, C] and targets
        [B, K] -> images and targets of the same shapes.
        """
        mixup, cutmix = _is_on(self.mixup_alpha), _is_on(self.cutmix_alpha)
        if not (mixup or cutmix):
            return images, targets
        keys = jax.vmap(lambda key: jax.random.fold_in(key, _MIX_STREAM))(keys)
        if not cutmix:
            return mix.mixup(keys, images, targets, alpha=self.mixup_alpha)
        if not mixup:
            return mix.cutmix(keys, images, targets, alpha=self.cutmix_alpha)
        alphas = {"mixup_alpha": self.mixup_alpha, "cutmix_alpha": self.cutmix_alpha}
        return mix.mixup_or_cutmix(keys, images, targets, **alphas)
