import dataclasses
import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.mlir import ir
from PIL import Image

from vitjax.data import augment, mix
from vitjax.data.augment import Augmentation, normalise
from vitjax.data.lines import Lines, sample
from vitjax.data.randaugment import rand_augment
from vitjax.data.warp import affine_nearest, rotate, rotation_matrix
from vitjax.errors import UserError

H, W = 10, 14
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
rng = np.random.default_rng(0)
noise = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
# Each pixel holds its own place, so that an output shows where it was read from.
places = np.stack(np.meshgrid(np.arange(H), np.arange(W), indexing="ij"), -1).astype(np.float32)


def draws(function, image, count, *, seed=0, **options):
    """`count` results of a random function of one image, vmapped over keys."""
    keys = jax.random.split(jax.random.key(seed), count)
    one = functools.partial(function, image=jnp.float32(image), **options)
    return np.asarray(jax.jit(jax.vmap(lambda key: one(key)))(keys))


def assert_same_mean(a, b):
    """Means of two samples [N, ...] differ by less than 5 standard errors."""
    error = np.sqrt(np.var(a, axis=0) / len(a) + np.var(b, axis=0) / len(b))
    assert (np.abs(np.mean(a, axis=0) - np.mean(b, axis=0)) <= 5 * error + 1e-9).all()


def test_random_crop_is_every_crop_of_the_padded_image_alike():
    padded = np.pad(noise.astype(np.float32), ((2, 2), (2, 2), (0, 0)))
    crops = [padded[y : y + H, x : x + W].tobytes() for y in range(5) for x in range(5)]
    counts = dict.fromkeys(crops, 0)
    for result in draws(augment.random_crop, noise, 2500, padding=2):
        counts[result.tobytes()] += 1
    assert len(counts) == 25
    assert max(abs(count - 100) for count in counts.values()) < 50  # 5 sigma


@pytest.mark.parametrize(
    ("flip", "axis"), [(augment.horizontal_flip, 1), (augment.vertical_flip, 0)]
)
def test_flip(flip, axis):
    mirrored = np.flip(noise, axis)
    results = draws(flip, noise, 1000)
    flipped = (results == mirrored).all(axis=(1, 2, 3))
    assert (flipped | (results == noise).all(axis=(1, 2, 3))).all()
    assert 420 < flipped.sum() < 580  # 5 sigma
    np.testing.assert_array_equal(draws(flip, noise, 8, probability=1.0)[5], mirrored)
    np.testing.assert_array_equal(draws(flip, noise, 8, probability=0.0)[5], noise)


@pytest.mark.parametrize("shape", [(24, 33, 3), (17, 16, 1)])
def test_rotation_by_gather_is_pils(shape):
    image = jnp.array(rng.integers(0, 256, shape, dtype=np.uint8))
    pil = Image.fromarray(np.asarray(image if shape[-1] == 3 else image[..., 0]))
    rotate = jax.jit(
        lambda key, degrees: augment.rotation(key, image, degrees=degrees, method="gather")
    )
    for seed, degrees in enumerate([5.0, 15.0, 90.0, 180.0] * 3):
        key = jax.random.key(seed)
        angle = angle_of(key, degrees)
        expected = np.asarray(pil.rotate(angle, Image.Resampling.NEAREST)).reshape(shape)
        differs = np.any(np.asarray(rotate(key, degrees)) != expected, axis=-1)
        assert differs.mean() < 0.005  # a tie of nearest pixels may fall to the other side


def angle_of(key, degrees):
    """The angle that `augment.rotation` draws."""
    return float(jax.random.uniform(key, minval=-degrees, maxval=degrees))


@functools.partial(jax.jit, static_argnames=("largest",))
def turn(image, degrees, largest):
    """`rotate`, with the mirroring that it leaves to others."""
    image, mirrors = rotate(image, degrees, largest=largest)
    rows, columns = Lines.all(image.shape[0]), Lines.all(image.shape[1])
    if mirrors:
        rows, columns = rows.mirrored(mirrors[0]), columns.mirrored(mirrors[1])
    return sample(image, rows, columns)


def assert_moved(result, degrees, *, off):
    """Each pixel of `result`, an image of 1 + its place, is within `off` of where PIL reads it."""
    height, width, _ = result.shape
    centre = np.array([height / 2, width / 2])
    place = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    y, x = np.moveaxis(place + 0.5 - centre, -1, 0)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    exact = np.stack([sin * x + cos * y, cos * x - sin * y], -1) + centre - 0.5
    filled = (result > 0).all(axis=-1)
    np.testing.assert_array_equal(filled, (result > 0).any(axis=-1))
    assert np.linalg.norm((result - 1 - exact)[filled], axis=-1).max() < off
    inside = (exact >= off) & (exact <= np.array([height, width]) - 1 - off)
    assert filled[inside.all(axis=-1)].all()
    read = [tuple(pixel) for pixel in result[filled]]
    assert len(read) == len(set(read))  # no pixel twice


@pytest.mark.parametrize(
    ("shape", "largest", "off"),
    [((40, 40), 180, 1.12), ((41, 41), 45, 1.12), ((24, 33), 45, 1.12), ((24, 33), 180, 1.42)],
)
def test_shears_turn_each_pixel_to_near_its_place(shape, largest, off):
    image = 1 + np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    for degrees in (*np.linspace(-largest, largest, 41), 1.0):
        result = np.asarray(turn(jnp.float32(image), degrees, largest))
        assert_moved(result, degrees, off=off)
        if abs(degrees) < 1e-6:
            np.testing.assert_array_equal(result, image)
        as_bytes = turn(jnp.uint8(image), degrees, largest)
        np.testing.assert_array_equal(as_bytes, result)


def test_shears_turn_by_multiples_of_90_degrees_exactly():
    square = rng.integers(0, 256, (13, 13, 5), dtype=np.uint8)  # 5 channels: two words a pixel
    for quarters in (-2, -1, 0, 1, 2):
        result = turn(jnp.array(square), 90.0 * quarters, 180)
        np.testing.assert_array_equal(result, np.rot90(square, quarters))
    np.testing.assert_array_equal(turn(jnp.array(noise), 180.0, 180), np.rot90(noise, 2))


@pytest.mark.parametrize("degrees", [20.0, 90.0])
def test_rotation_is_by_shears_unless_gather_is_asked_for(degrees):
    images = {
        method: Augmentation(rotation_degrees=degrees, rotation_method=method).images(
            batch_keys, jnp.array(batch), (0.0,) * 3, (1 / 255,) * 3
        )
        for method in ("shears", "gather")
    }
    for i, key in enumerate(batch_keys):
        key, one = jax.random.fold_in(key, 1), jnp.array(batch[i])
        angle = angle_of(key, degrees)
        by_gather = affine_nearest(one, rotation_matrix(angle, H, W))
        np.testing.assert_allclose(images["gather"][i], by_gather, atol=1e-3)
        np.testing.assert_allclose(images["shears"][i], turn(one, angle, degrees), atol=1e-3)


def test_a_traced_angle_may_be_any():
    key, one = jax.random.key(3), jnp.array(noise)
    result = jax.jit(lambda degrees: augment.rotation(key, one, degrees=degrees))(170.0)
    np.testing.assert_array_equal(result, turn(one, angle_of(key, 170.0), 180))


def bilinear(image, top, left, height, width):
    """torch's upsample_bilinear2d (align_corners=False) of a crop, pixel by pixel."""
    crop = image[top : top + height, left : left + width].astype(np.float64)
    result = np.zeros(image.shape)
    for i in range(image.shape[0]):
        y = max((i + 0.5) * height / image.shape[0] - 0.5, 0)
        y0, y1 = int(y), min(int(y) + 1, height - 1)
        for j in range(image.shape[1]):
            x = max((j + 0.5) * width / image.shape[1] - 0.5, 0)
            x0, x1 = int(x), min(int(x) + 1, width - 1)
            upper = crop[y0, x0] * (1 - x + x0) + crop[y0, x1] * (x - x0)
            lower = crop[y1, x0] * (1 - x + x0) + crop[y1, x1] * (x - x0)
            result[i, j] = upper * (1 - y + y0) + lower * (y - y0)
    return result


@jax.jit
def resize_box(image, top, left, height, width):
    rows, columns = Lines.all(H).stretched(top, height), Lines.all(W).stretched(left, width)
    return sample(image, rows, columns)


@pytest.mark.parametrize("box", [(0, 0, H, W), (3, 5, 4, 7), (9, 13, 1, 1), (2, 0, 8, 3)])
def test_resized_box(box):
    ours = resize_box(noise, *box)
    np.testing.assert_allclose(ours, bilinear(noise, *box), atol=1e-3)
    if box == (0, 0, H, W):
        np.testing.assert_array_equal(ours, noise)


def torchvision_box(numpy_rng, scale, ratio, *, erasing):
    """(top, left, height, width) by the loops of torchvision's get_params; None = no box."""
    for _ in range(10):
        area = H * W * numpy_rng.uniform(*scale)
        aspect = np.exp(numpy_rng.uniform(*np.log(ratio)))
        a, b = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        h, w = (a, b) if erasing else (b, a)
        if (h < H and w < W) if erasing else (0 < w <= W and 0 < h <= H):
            return numpy_rng.integers(H - h + 1), numpy_rng.integers(W - w + 1), h, w
    return None


@pytest.mark.parametrize(
    ("scale", "ratio"), [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.6, 1.0), (0.4, 2.0))]
)
def test_random_resized_crop_draws_torchvisions_boxes(scale, ratio):
    results = draws(augment.random_resized_crop, places, 2000, scale=scale, ratio=ratio)
    corner = results.min(axis=(1, 2))  # an edge pixel repeats where the box is smaller
    far = results.max(axis=(1, 2))
    ours = np.concatenate([corner, far - corner + 1], axis=1)  # top, left, height, width
    np.testing.assert_allclose(ours, np.round(ours), atol=1e-4)
    numpy_rng = np.random.default_rng(1)
    boxes = [torchvision_box(numpy_rng, scale, ratio, erasing=False) for _ in range(4000)]
    expected = np.array([(0, 0, H, W) if box is None else box for box in boxes])
    assert_same_mean(ours, expected)
    assert_same_mean(ours**2, expected**2)
    for i in range(5):
        whole = np.round(ours[i]).astype(int)
        np.testing.assert_allclose(results[i], bilinear(places, *whole), atol=1e-4)


@pytest.mark.parametrize(
    ("scale", "ratio", "box"),
    [
        ((1.0, 1.0), (3.0, 3.0), (2, 0, round(W / 3), W)),  # image too narrow
        ((1.0, 1.0), (0.5, 0.5), (0, 4, H, round(H * 0.5))),  # image too wide
        ((1.5, 1.5), (1.0, 2.0), (0, 0, H, W)),  # its shape is allowed
    ],
)
def test_random_resized_crop_falls_back_to_the_middle(scale, ratio, box):
    results = draws(augment.random_resized_crop, noise, 4, scale=scale, ratio=ratio)
    for result in results:
        np.testing.assert_allclose(result, bilinear(noise, *box), atol=1e-3)


def test_random_erasing_fills_torchvisions_boxes():
    scale, ratio = (0.3, 0.9), (0.4, 1.2)
    value = np.array([300.0, 301.0, 302.0], np.float32)
    options = {"probability": 0.6, "scale": scale, "ratio": ratio, "value": value}
    results = draws(augment.random_erasing, noise, 2000, **options)
    erased = (results == value).all(axis=-1)
    np.testing.assert_array_equal(results, np.where(erased[..., None], value, noise))
    rows, columns = erased.any(axis=2), erased.any(axis=1)
    np.testing.assert_array_equal(erased, rows[:, :, None] & columns[:, None])
    used = erased.any(axis=(1, 2))
    numpy_rng = np.random.default_rng(2)
    boxes = [torchvision_box(numpy_rng, scale, ratio, erasing=True) for _ in range(4000)]
    expected = np.array([box for box in boxes if box is not None])
    assert abs(used.mean() - 0.6 * len(expected) / len(boxes)) < 0.055  # 5 sigma
    ours = np.stack([rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)], 1)[used]
    assert_same_mean(ours, expected)
    assert_same_mean(ours**2, expected**2)


@pytest.mark.parametrize(("probability", "scale"), [(0.0, (0.1, 0.3)), (1.0, (1.5, 1.6))])
def test_random_erasing_may_do_nothing(probability, scale):
    options = {"probability": probability, "scale": scale, "value": MEAN}
    for result in draws(augment.random_erasing, noise, 4, **options):
        np.testing.assert_array_equal(result, noise)


def test_normalise():
    images = rng.integers(0, 256, (2, 3, H, W, 3), dtype=np.uint8)
    expected = (images / 255.0 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(normalise(jnp.array(images), MEAN, STD), expected, atol=1e-5)
    with pytest.raises(UserError, match="images have 3 channels, mean has 1 values and std 3"):
        normalise(jnp.array(images), (0.5,), STD)


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
        image = augment.random_crop(key[0], image, padding=2)
        image = augment.rotation(key[1], image, degrees=15)
        image = augment.horizontal_flip(key[2], image)
        image = augment.vertical_flip(key[3], image)
        if left_out != "resized_crop_scale":
            scale, ratio = (0.5, 1.0), (3 / 4, 4 / 3)
            image = augment.random_resized_crop(key[4], image, scale=scale, ratio=ratio)
        if left_out != "rand_augment_ops":
            image = rand_augment(key[5], image, num_ops=2, magnitude=9)
        value = 255 * jnp.array(MEAN)
        image = augment.random_erasing(key[6], image, probability=0.5, value=value)
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


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_no_pixel_is_gathered_but_by_the_method_gather(platform):
    options = dataclasses.replace(EVERYTHING, mixup_alpha=0.2, cutmix_alpha=1.0)
    shapes = gathers(options, platform)
    assert max(map(math.prod, shapes), default=0) < batch[..., 0].size / 2
    assert (len(batch), H * W, 3) in gathers(
        dataclasses.replace(options, rotation_method="gather"), platform
    )


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
        ("rand_augment_ops", -2, WHOLE),
        ("rand_augment_magnitude", 31, "a whole number in [0, 30]"),
        ("rand_augment_magnitude", 9.5, "a whole number in [0, 30]"),
        ("erasing_probability", 1.1, "a number in [0, 1]"),
        ("mixup_alpha", -0.1, NUMBER),
        ("cutmix_alpha", float("inf"), NUMBER),
        ("cutmix_alpha", None, NUMBER),
    ],
)
def test_wrong_options_are_named(name, value, expected):
    message = f"config.data.augment.{name}={value!r}; expected {expected}."
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        Augmentation(**{name: value})


def test_every_option_is_checked():
    assert sorted(Augmentation.__dataclass_fields__) == sorted(augment.EXPECTED)
