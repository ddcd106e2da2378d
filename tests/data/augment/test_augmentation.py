"""The chain of all operations, and its options."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.mlir import ir

from vitjax.data.augment import Augmentation, mix, normalise, transforms
from vitjax.data.augment.policies import POLICIES, rand_augment
from vitjax.errors import UserError

H, W = 10, 14
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
rng = np.random.default_rng(0)
EVERYTHING = Augmentation(
    crop_padding=2,
    horizontal_flip=True,
    vertical_flip=True,
    rotation_degrees=15,
    resized_crop_scale=(0.5, 1.0),
    rand_augment_ops=2,
    erasing_probability=0.5,
)
batch = rng.integers(0, 256, (8, H, W, 3), dtype=np.uint8)
batch_keys = jax.random.split(jax.random.key(7), len(batch))
everything = jax.jit(lambda keys, images: EVERYTHING.images(keys, images, MEAN, STD))


def test_without_options_images_are_only_normalised():
    ours = Augmentation().images(batch_keys, jnp.array(batch), MEAN, STD)
    np.testing.assert_array_equal(ours, normalise(jnp.array(batch), MEAN, STD))
    assert ours.dtype == jnp.float32


def test_images_do_not_depend_on_their_place_in_the_batch():
    results = np.asarray(everything(batch_keys, batch))
    np.testing.assert_array_equal(everything(batch_keys, batch), results)
    order = np.random.default_rng(3).permutation(len(batch))
    np.testing.assert_array_equal(everything(batch_keys[order], batch[order]), results[order])


@pytest.mark.parametrize("left_out", ["rand_augment_ops", "resized_crop_scale"])
def test_images_go_through_the_documented_order(left_out):
    # One of the two: RandAugment rounds, where the last bit of a resized pixel shows.
    @jax.jit
    def by_hand(key, image):
        key = [jax.random.fold_in(key, place) for place in range(7)]
        image = transforms.random_crop(key[0], image, padding=2)
        image = transforms.rotation(key[1], image, degrees=15)
        image = transforms.horizontal_flip(key[2], image)
        image = transforms.vertical_flip(key[3], image)
        if left_out != "resized_crop_scale":
            scale, ratio = (0.5, 1.0), (3 / 4, 4 / 3)
            image = transforms.random_resized_crop(key[4], image, scale=scale, ratio=ratio)
        if left_out != "rand_augment_ops":
            image = rand_augment(key[5], image, num_ops=2, magnitude=9)
        value = 255 * jnp.array(MEAN)
        image = transforms.random_erasing(key[6], image, probability=0.5, value=value)
        return normalise(image, MEAN, STD)

    off = getattr(Augmentation(), left_out)
    options = dataclasses.replace(EVERYTHING, **{left_out: off})
    results = jax.jit(lambda keys, images: options.images(keys, images, MEAN, STD))(
        batch_keys, batch
    )
    for i in range(len(batch)):
        expected = by_hand(batch_keys[i], jnp.float32(batch[i]))
        np.testing.assert_allclose(results[i], expected, atol=1e-5)


def gathers(options, platform):
    """Shapes of what a device of this platform would gather from, or scatter to, by an example."""

    def both(keys, images, targets):
        return options.batch(keys, options.images(keys, images, MEAN, STD), targets)

    traced = jax.jit(both).trace(batch_keys, batch, jnp.eye(len(batch)))
    module = traced.lower(lowering_platforms=(platform,)).compiler_ir()
    found = []

    def visit(op):
        if "gather" in op.name or "scatter" in op.name:
            found.append(tuple(op.operands[0].type.shape))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


@pytest.mark.parametrize("name", POLICIES)
def test_no_pixel_is_gathered_by_a_policy(name):
    shapes = gathers(Augmentation(policy=name), "tpu")
    assert max(map(math.prod, shapes), default=0) < batch[..., 0].size / 2


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_no_pixel_is_gathered_but_by_the_method_gather(platform):
    options = dataclasses.replace(EVERYTHING, mixup_alpha=0.2, cutmix_alpha=1.0)
    shapes = gathers(options, platform)
    assert max(map(math.prod, shapes), default=0) < batch[..., 0].size / 2
    assert (len(batch), H * W, 3) in gathers(
        dataclasses.replace(options, rotation_method="gather"), platform
    )


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_takes_the_place_of_rand_augment(name):
    options = Augmentation(policy=name)
    results = jax.jit(lambda keys: options.images(keys, jnp.array(batch), MEAN, STD))(batch_keys)
    by_hand = jax.jit(POLICIES[name])
    for key, image, result in zip(batch_keys, batch, results, strict=True):
        expected = by_hand(jax.random.fold_in(key, 5), jnp.float32(image))
        np.testing.assert_allclose(result, normalise(expected, MEAN, STD), atol=1e-5)
    message = f"policy='{name}' takes the place of RandAugment; expected rand_augment_ops=0, not 2"
    with pytest.raises(UserError, match=message):
        Augmentation(policy=name, rand_augment_ops=2)


def test_one_option_leaves_the_draws_of_another():
    flip = Augmentation(horizontal_flip=True)
    both = Augmentation(horizontal_flip=True, erasing_probability=1.0)
    alone, erased = jax.jit(
        lambda keys, images: [a.images(keys, images, MEAN, STD) for a in (flip, both)]
    )(batch_keys, batch)
    outside = np.abs(erased) > 1e-5  # the fill value is the mean, so it is 0 after normalising
    assert 0.5 < outside.mean() < 1
    np.testing.assert_allclose(erased[outside], alone[outside], atol=1e-6)


def test_images_must_be_uint8():
    with pytest.raises(UserError, match="images are float32; expected uint8"):
        Augmentation().images(batch_keys, jnp.float32(batch), MEAN, STD)


def test_batch_mixes_by_the_options(monkeypatch):
    images, targets = jnp.float32(batch), jnp.eye(len(batch))
    keys = jax.vmap(lambda key: jax.random.fold_in(key, 100))(batch_keys)  # not those of images()
    calls = []

    def record(name):
        def call(keys, images, targets, **alphas):
            calls.append((name, alphas, keys))
            return 2 * images, targets

        return call

    for name in ("mixup", "cutmix", "mixup_or_cutmix"):
        monkeypatch.setattr(mix, name, record(name))
    same = Augmentation().batch(batch_keys, images, targets)
    assert same[0] is images
    assert same[1] is targets
    both = {"mixup_alpha": 0.2, "cutmix_alpha": 1.0}
    for options, name, alphas in (
        (Augmentation(mixup_alpha=0.2), "mixup", {"alpha": 0.2}),
        (Augmentation(cutmix_alpha=1.0), "cutmix", {"alpha": 1.0}),
        (Augmentation(mixup_alpha=0.2, cutmix_alpha=1.0), "mixup_or_cutmix", both),
    ):
        mixed, _ = options.batch(batch_keys, images, targets)
        np.testing.assert_array_equal(mixed, 2 * images)
        assert calls[-1][:2] == (name, alphas)
        assert (calls[-1][2] == keys).all()
    assert len(calls) == 3


def test_options_may_be_lists_as_in_json():
    lists: dict = {"resized_crop_scale": [0.5, 1], "resized_crop_ratio": [1, 2]}
    from_json = Augmentation(**lists)
    assert from_json == Augmentation(resized_crop_scale=(0.5, 1), resized_crop_ratio=(1, 2))
    assert hash(from_json) is not None


WHOLE, NUMBER = "a whole number, 0 or more", "a number, 0 or more"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("crop_padding", -1, WHOLE),
        ("crop_padding", 1.5, WHOLE),
        ("crop_padding", True, WHOLE),
        ("horizontal_flip", 1, "True or False"),
        ("vertical_flip", "yes", "True or False"),
        ("rotation_degrees", -5, "a number in [0, 180]"),
        ("rotation_degrees", float("nan"), "a number in [0, 180]"),
        ("rotation_method", "bilinear", "one of shears, gather"),
        ("resized_crop_scale", (0.5,), "() or (low, high) with 0 < low <= high <= 1"),
        ("resized_crop_scale", (0.5, 1.5), "() or (low, high) with 0 < low <= high <= 1"),
        ("resized_crop_scale", (0.0, 0.5), "() or (low, high) with 0 < low <= high <= 1"),
        ("resized_crop_scale", 0.5, "() or (low, high) with 0 < low <= high <= 1"),
        ("resized_crop_ratio", (2, 1), "(low, high) with 0 < low <= high"),
        ("resized_crop_ratio", (), "(low, high) with 0 < low <= high"),
        ("policy", "cifar10", "'' or one of autoaugment_cifar10, trivial_wide"),
        ("policy", ["trivial_wide"], "'' or one of autoaugment_cifar10, trivial_wide"),
        ("rand_augment_ops", -2, WHOLE),
        ("rand_augment_magnitude", 31, "a whole number in [0, 30]"),
        ("rand_augment_magnitude", 9.5, "a whole number in [0, 30]"),
        ("erasing_probability", 1.1, "a number in [0, 1]"),
        ("mixup_alpha", -0.1, NUMBER),
        ("cutmix_alpha", float("inf"), NUMBER),
        ("cutmix_alpha", None, NUMBER),
        ("repeats", 0, "a whole number, 1 or more"),
    ],
)
def test_wrong_options_are_named(name, value, expected):
    message = f"config.data.augment.{name}={value!r}; expected {expected}."
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        Augmentation(**{name: value})


def test_every_option_is_checked():
    for field in dataclasses.fields(Augmentation):
        expected, is_valid = field.metadata["expected"]
        assert is_valid(field.default), (field.name, expected)
        assert not is_valid("nothing"), field.name
