"""Smooth deformations: how far pixels move, together with which, and what is read there."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from vitjax.data.augment import Augmentation
from vitjax.data.augment.elastic import elastic
from vitjax.errors import UserError

H, W = 28, 42
STRENGTH = 0.03
KEYS = jax.random.split(jax.random.key(0), 2000)
ROWS, COLUMNS = np.mgrid[:H, :W].astype(np.float32)
deform = jax.jit(jax.vmap(lambda key, image: elastic(key, image, STRENGTH), in_axes=(0, None)))


def moves() -> np.ndarray:
    """How far the inner pixels of many images move, [N, h, w, 2]: ramps tell their places."""
    ramps = np.stack([ROWS, COLUMNS], axis=-1)
    return (np.asarray(deform(KEYS, ramps)) - ramps)[:, 8:-8, 8:-8]


def test_pixels_move_by_the_strength_as_a_share_of_the_side():
    deviations = moves().std(axis=(0, 1, 2))
    np.testing.assert_allclose(deviations, [STRENGTH * H, STRENGTH * W], rtol=0.03)
    np.testing.assert_allclose(moves().mean(axis=(0, 1, 2)), 0, atol=0.03)


def test_neighbours_move_together_as_noise_that_is_blurred():
    """Of noise blurred with deviation s, places d apart correlate by exp(-d^2 / 4 s^2)."""
    down = moves()[..., 0]
    ours = [np.corrcoef(down[:, 2, 10], down[:, 2 + d, 10])[0, 1] for d in (2, 4, 8)]
    blur = H / 7
    np.testing.assert_allclose(ours, [np.exp(-((d / 2 / blur) ** 2)) for d in (2, 4, 8)], atol=0.06)


def test_each_pixel_is_read_linearly_where_it_comes_from():
    smooth = 100 + 50 * np.sin(ROWS / 6) * np.cos(COLUMNS / 6)
    image = np.stack([smooth, ROWS, COLUMNS], axis=-1)
    for ours in np.asarray(deform(KEYS[:8], image)):
        theirs = map_coordinates(smooth, [ours[..., 1], ours[..., 2]], order=1)
        inside = (slice(6, -6), slice(6, -6))
        np.testing.assert_allclose(ours[..., 0][inside], theirs[inside], atol=2)
        assert np.abs(ours[..., 0] - smooth)[inside].max() > 5


def test_what_enters_is_black_and_nothing_is_brighter():
    ours = np.asarray(deform(KEYS[:200], jnp.full((H, W, 1), 255.0)))
    np.testing.assert_allclose(ours[:, 8:-8, 8:-8], 255, rtol=1e-6)
    assert ours.max() <= 255.001
    assert ours.min() == 0


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (2, 2, 1)])
def test_the_smallest_images_keep_their_shape(shape):
    ours = elastic(KEYS[0], jnp.ones(shape), 0.1)
    assert ours.shape == shape
    assert jnp.isfinite(ours).all()


def test_it_comes_after_all_else_and_before_images_are_normalised():
    image = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 1), np.uint8)
    ours = Augmentation(elastic_strength=0.05).images(KEYS[:1], jnp.asarray(image), (0.5,), (0.2,))
    place = jax.random.fold_in(KEYS[0], 7)
    theirs = (elastic(place, jnp.asarray(image[0], jnp.float32), 0.05) / 255 - 0.5) / 0.2
    np.testing.assert_allclose(ours[0], theirs, atol=1e-5)


@pytest.mark.parametrize("strength", [-0.01, 0.2, float("nan"), "a", True])
def test_a_strength_that_folds_images_over_is_refused(strength):
    expected = f"elastic_strength={strength!r}; expected a number in [0, 0.1]"
    with pytest.raises(UserError, match=re.escape(expected)):
        Augmentation(elastic_strength=strength)
