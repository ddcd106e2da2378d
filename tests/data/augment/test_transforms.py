"""Crops, flips, resized crops and erasing, each alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax.data.augment import normalise, transforms
from vitjax.data.augment.lines import Lines, sample
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
    for result in draws(transforms.random_crop, noise, 2500, padding=2):
        counts[result.tobytes()] += 1
    assert len(counts) == 25
    assert max(abs(count - 100) for count in counts.values()) < 50  # 5 sigma


@pytest.mark.parametrize(
    ("flip", "axis"), [(transforms.horizontal_flip, 1), (transforms.vertical_flip, 0)]
)
def test_flip(flip, axis):
    mirrored = np.flip(noise, axis)
    results = draws(flip, noise, 1000)
    flipped = (results == mirrored).all(axis=(1, 2, 3))
    assert (flipped | (results == noise).all(axis=(1, 2, 3))).all()
    assert 420 < flipped.sum() < 580  # 5 sigma
    np.testing.assert_array_equal(draws(flip, noise, 8, probability=1.0)[5], mirrored)
    np.testing.assert_array_equal(draws(flip, noise, 8, probability=0.0)[5], noise)


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
    results = draws(transforms.random_resized_crop, places, 2000, scale=scale, ratio=ratio)
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
    results = draws(transforms.random_resized_crop, noise, 4, scale=scale, ratio=ratio)
    for result in results:
        np.testing.assert_allclose(result, bilinear(noise, *box), atol=1e-3)


def test_random_erasing_fills_torchvisions_boxes():
    scale, ratio = (0.3, 0.9), (0.4, 1.2)
    value = np.array([300.0, 301.0, 302.0], np.float32)
    options = {"probability": 0.6, "scale": scale, "ratio": ratio, "value": value}
    results = draws(transforms.random_erasing, noise, 2000, **options)
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
    for result in draws(transforms.random_erasing, noise, 4, **options):
        np.testing.assert_array_equal(result, noise)


def test_normalise():
    images = rng.integers(0, 256, (2, 3, H, W, 3), dtype=np.uint8)
    expected = (images / 255.0 - np.array(MEAN)) / np.array(STD)
    np.testing.assert_allclose(normalise(jnp.array(images), MEAN, STD), expected, atol=1e-5)
    with pytest.raises(UserError, match="images have 3 channels, mean has 1 values and std 3"):
        normalise(jnp.array(images), (0.5,), STD)
