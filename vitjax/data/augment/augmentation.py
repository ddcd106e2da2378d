"""The options of augmentation, and the chain of what they ask for, on the device."""

import dataclasses
import functools
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vitjax.data.augment import lines, mix
from vitjax.data.augment.operations import METHODS
from vitjax.data.augment.policies import MAX_MAGNITUDE, POLICIES, rand_augment
from vitjax.data.augment.transforms import normalise, random_erasing, rotated
from vitjax.errors import UserError

_NUM_OPERATIONS = 7  # of images(), each with its own key
_MIX_STREAM = 100  # which key batch() uses


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
_SHARE = ("a number in [0, 1]", lambda v: _is_number(v, 0, 1))
_ANGLE = ("a number in [0, 180]", lambda v: _is_number(v, 0, 180))
_METHOD = (f"one of {', '.join(METHODS)}", lambda v: v in METHODS)
_SCALE = ("() or (low, high) with 0 < low <= high <= 1", lambda v: v == () or _is_range(v, 1))
_RATIO = ("(low, high) with 0 < low <= high", _is_range)
_POLICY = (f"'' or one of {', '.join(POLICIES)}", lambda v: v in ("", *POLICIES))
_COPIES = ("a whole number, 1 or more", lambda v: _is_integer(v, 1))
_MAGNITUDE = (
    f"a whole number in [0, {MAX_MAGNITUDE}]",
    lambda v: _is_integer(v, 0, MAX_MAGNITUDE),
)


def _option(
    default: Any,
    expected: tuple[str, Callable[[Any], bool]],
    change: Callable[[jax.Array, jax.Array, Any], jax.Array] | None = None,
) -> Any:
    """An option with what it should be, in words and as a test.

    `change` (key, image float32 [H, W, C] in [0, 255], value -> image) is done where it is on, not
    0, after all others and in the order of the options. What else they do stands in `images`.
    """
    return dataclasses.field(default=default, metadata={"expected": expected, "change": change})


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What `config.data.augment` holds: options as plain values, checked here, applied in order.

    A strength may also be a jax.Array, traced or not: such an operation is on, and is not checked.
    Each operation takes its own part of an example's key, so enabling one changes no other's draws.
    """

    crop_padding: int = _option(0, _COUNT)  # pixels of zero padding before a random crop; 0 = off
    horizontal_flip: bool = _option(False, _BOOL)  # with probability 1/2
    vertical_flip: bool = _option(False, _BOOL)  # with probability 1/2
    rotation_degrees: float = _option(0.0, _ANGLE)  # largest angle either way; 0 = off
    # Or "gather", slow but on CPUs: torchvision's pixels, but for those on an edge of float32.
    rotation_method: str = _option("shears", _METHOD)
    # Smallest and largest share of the area; () = off.
    resized_crop_scale: tuple[float, ...] = _option((), _SCALE)
    # Narrowest and widest width / height.
    resized_crop_ratio: tuple[float, float] = _option((3 / 4, 4 / 3), _RATIO)
    # autoaugment_cifar10 | trivial_wide, in RandAugment's place; "": none
    policy: str = _option("", _POLICY)
    rand_augment_ops: int = _option(0, _COUNT)  # RandAugment operations per image; 0 = off
    rand_augment_magnitude: int = _option(9, _MAGNITUDE)  # of RandAugment, in [0, 30]
    erasing_probability: float = _option(0.0, _SHARE)  # of a random box filled with the mean
    mixup_alpha: float = _option(0.0, _ALPHA)  # of Beta(alpha, alpha); 0 = off
    cutmix_alpha: float = _option(0.0, _ALPHA)  # of Beta(alpha, alpha); 0 = off
    # Augmented copies of each of a batch's images; an epoch has fewer images then.
    repeats: int = _option(1, _COPIES)

    def __post_init__(self):
        for name in ("resized_crop_scale", "resized_crop_ratio"):
            if isinstance(getattr(self, name), list):  # as read from JSON
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for field in dataclasses.fields(self):
            expected, is_valid = field.metadata["expected"]
            value = getattr(self, field.name)
            if not (isinstance(value, jax.Array) or is_valid(value)):
                raise UserError(f"config.data.augment.{field.name}={value!r}; expected {expected}.")
        if self.policy and self.rand_augment_ops:
            raise UserError(
                f"config.data.augment.policy={self.policy!r} takes the place of RandAugment; "
                f"expected rand_augment_ops=0, not {self.rand_augment_ops}."
            )

    def images(
        self, keys: jax.Array, images: jax.Array, mean: Sequence[float], std: Sequence[float]
    ) -> jax.Array:
        """Keys [B] and images [B, H, W, C] uint8 -> augmented, normalised float32 [B, H, W, C].

        In this order: crop, rotation, horizontal flip, vertical flip, resized crop, the policy or
        RandAugment, erasing, what options bring themselves, normalise. An example's result depends
        on its key and its pixels alone.
        """
        if images.dtype != jnp.uint8:
            raise UserError(f"images are {images.dtype}; expected uint8, before normalising.")
        value, policy = [255 * x for x in mean], self._policy()

        def augment(key: jax.Array, image: jax.Array) -> jax.Array:
            """Key and uint8 [H, W, C] -> the image changed, before it is normalised."""
            parts = [jax.random.fold_in(key, place) for place in range(_NUM_OPERATIONS)]
            image = self._turn_and_crop(parts[:5], image)
            if policy:
                image = policy(parts[5], image.astype(jnp.float32), method=self.rotation_method)
            if _is_on(self.erasing_probability):
                image = random_erasing(
                    parts[6],
                    image.astype(jnp.float32),
                    probability=self.erasing_probability,
                    value=value,
                )
            return self._changed(key, image)

        return normalise(jax.vmap(augment)(keys, images), mean, std)

    def _policy(self) -> Callable[..., jax.Array] | None:
        """Returns what draws an image's operations; None where nothing does."""
        if self.policy:
            return POLICIES[self.policy]
        if not self.rand_augment_ops:
            return None
        num_ops, magnitude = self.rand_augment_ops, self.rand_augment_magnitude
        return functools.partial(rand_augment, num_ops=num_ops, magnitude=magnitude)

    def _changed(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Does what options bring themselves, on an image [H, W, C]."""
        bringing = [field for field in dataclasses.fields(self) if field.metadata["change"]]
        for place, field in enumerate(bringing, start=_NUM_OPERATIONS):
            value = getattr(self, field.name)
            if _is_on(value):
                part = jax.random.fold_in(key, place)
                image = field.metadata["change"](part, image.astype(jnp.float32), value)
        return image

    def _turn_and_crop(self, keys: Sequence[jax.Array], image: jax.Array) -> jax.Array:
        """The first five operations on uint8 [H, W, C]; those of lines alone, one read a run."""
        steps: list[lines.Step] = []
        if _is_on(self.crop_padding):
            steps.append(functools.partial(lines.crop, keys[0], padding=self.crop_padding))
        if _is_on(self.rotation_degrees):
            image = lines.read(image, steps).astype(jnp.uint8)  # whole numbers: a pixel is one word
            degrees, method = self.rotation_degrees, self.rotation_method
            image, steps = rotated(keys[1], image, degrees=degrees, method=method)
        if self.horizontal_flip:
            steps.append(functools.partial(lines.flip_columns, keys[2]))
        if self.vertical_flip:
            steps.append(functools.partial(lines.flip_rows, keys[3]))
        scale, ratio = self.resized_crop_scale, self.resized_crop_ratio
        if _is_on(scale):
            steps.append(functools.partial(lines.box, keys[4], scale=scale, ratio=ratio))
        return lines.read(image, steps)

    def batch(self, keys: jax.Array, images: jax.Array, targets: jax.Array) -> tuple[Any, Any]:
        """Mixes each example with the one before it in the batch: mixup, CutMix, or one of the two.

        Keys [B] (those given to `images` do: the draws differ), images [B, H, W, C] and targets
        [B, K] -> both of the same shapes; where labels are mixed, targets as `mix.Probabilities`.
        """
        mixup, cutmix = _is_on(self.mixup_alpha), _is_on(self.cutmix_alpha)
        if not (mixup or cutmix):
            return images, targets
        keys = jax.vmap(lambda key: jax.random.fold_in(key, _MIX_STREAM))(keys)
        if not cutmix:
            images, targets = mix.mixup(keys, images, targets, alpha=self.mixup_alpha)
        elif not mixup:
            images, targets = mix.cutmix(keys, images, targets, alpha=self.cutmix_alpha)
        else:
            alphas = {"mixup_alpha": self.mixup_alpha, "cutmix_alpha": self.cutmix_alpha}
            images, targets = mix.mixup_or_cutmix(keys, images, targets, **alphas)
        return images, mix.Probabilities(targets)
