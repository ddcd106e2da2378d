"""Rotations, by shears and by a gather."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vitjax.data.augment import Augmentation, transforms
from vitjax.data.augment.lines import Lines, sample
from vitjax.data.augment.warp import affine_nearest, rotate, rotation_matrix

H, W = 10, 14
rng = np.random.default_rng(0)
noise = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
batch = rng.integers(0, 256, (8, H, W, 3), dtype=np.uint8)
batch_keys = jax.random.split(jax.random.key(7), len(batch))


@pytest.mark.parametrize("shape", [(24, 33, 3), (17, 16, 1)])
def test_rotation_by_gather_is_pils(shape):
    image = jnp.array(rng.integers(0, 256, shape, dtype=np.uint8))
    pil = Image.fromarray(np.asarray(image if shape[-1] == 3 else image[..., 0]))
    rotate = jax.jit(
        lambda key, degrees: transforms.rotation(key, image, degrees=degrees, method="gather")
    )
    for seed, degrees in enumerate([5.0, 15.0, 90.0, 180.0] * 3):
        key = jax.random.key(seed)
        angle = angle_of(key, degrees)
        expected = np.asarray(pil.rotate(angle, Image.Resampling.NEAREST)).reshape(shape)
        differs = np.any(np.asarray(rotate(key, degrees)) != expected, axis=-1)
        assert differs.mean() < 0.005  # a tie of nearest pixels may fall to the other side


def angle_of(key, degrees):
    """The angle that `transforms.rotation` draws."""
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
    result = jax.jit(lambda degrees: transforms.rotation(key, one, degrees=degrees))(170.0)
    np.testing.assert_array_equal(result, turn(one, angle_of(key, 170.0), 180))
