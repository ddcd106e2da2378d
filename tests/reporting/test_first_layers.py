"""Filters, components and similarities against what they are by definition."""

import jax
import numpy as np
import pytest

from vitjax.models import PatchStem
from vitjax.models.parts.stem import ConvStem
from vitjax.reporting.first_layers import (
    position_picture,
    position_similarity,
    principal_components,
    stem_filters,
)


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_a_filter_pixel_is_the_answer_to_that_pixel(stem):
    layer = PatchStem(hidden_dim=5, patch_size=3, stem=stem)
    image = np.zeros((1, 3, 3, 2), np.float32)
    image[0, 2, 1, 1] = 1
    params = layer.init(jax.random.key(0), image)["params"]
    answer = layer.apply({"params": params}, image)[0, 0]
    filters = stem_filters(params, channels=2)
    assert filters.shape == (5, 3, 3, 2)
    np.testing.assert_allclose(filters[:, 2, 1, 1], answer, atol=1e-6)


def test_filters_of_a_conv_stem_are_those_of_its_first_layer():
    params = ConvStem(5, 4, inner_dim=7).init(jax.random.key(0), np.zeros((1, 4, 4, 2)))["params"]
    expected = np.moveaxis(np.asarray(params["kernel_0"]), -1, 0)
    np.testing.assert_array_equal(stem_filters(params, channels=2), expected)


def test_principal_components_of_filters_along_two_pixels():
    filters = np.zeros((4, 1, 2, 1))
    filters[:, 0, :, 0] = [[3, 0], [-3, 0], [0, 1], [0, -1]]  # variances 18 and 2
    components, shares = principal_components(filters, limit=2)
    np.testing.assert_allclose(shares, [0.9, 0.1])
    np.testing.assert_allclose(abs(components[..., 0]), [[[1, 0]], [[0, 1]]], atol=1e-7)


def test_position_similarity_leaves_the_class_token_out():
    embedding = np.array([[[9.0, 9.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]])
    similarity = position_similarity(embedding, num_patches=3)
    np.testing.assert_allclose(similarity, [[1, 0, -1], [0, 1, 0], [-1, 0, 1]])


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ((1, 1), "of 1x1 patches."),
        ((1, 2), "of 1x2 patches: on average 0.50 between neighbours."),
        ((1, 3), "of 1x3 patches: on average 0.50 between neighbours and 0.25 between all others."),
    ],
)
def test_a_small_grid_has_no_mean_of_nothing(grid, words):
    similarity = np.array([[1, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 1]])
    assert position_picture(similarity[: grid[1], : grid[1]], grid).alt.endswith(words)
