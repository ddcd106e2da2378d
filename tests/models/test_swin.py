"""Swin where Hugging Face's is no reference: maps below a window, what a window sees, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.swin import WindowAttention

KEY = jax.random.key(0)
SMALL = dict(patch_size=2, hidden_dim=8, stage_sizes=(2, 2), num_heads=(1, 2), window_size=3)


def attention(shape, **options):
    """A module of 2 heads, random variables for it, and its input [1, H, W, 4]."""
    module = WindowAttention(num_heads=2, **options)
    x = jax.random.normal(KEY, (1, *shape, 4))
    shapes = jax.eval_shape(lambda: module.init(KEY, x, train=False))
    random = np.random.RandomState(0)
    return module, jax.tree.map(lambda p: np.float32(random.normal(size=p.shape)), shapes), x


@pytest.mark.parametrize("shifted", [False, True])
def test_a_small_map_is_one_window_with_the_biases_of_its_offsets(shifted):
    module, variables, x = attention((2, 2), window_size=7, shifted=shifted)
    params = variables["params"]
    tokens = np.asarray(x).reshape(4, 4)
    qkv = (tokens @ params["qkv"]["kernel"] + params["qkv"]["bias"]).reshape(4, 3, 2, 2)
    q, k, v = np.moveaxis(qkv, 1, 0)
    table = params["relative_position_bias"].reshape(13, 13, 2)  # offset of row, of column, head
    bias = np.empty((2, 4, 4))
    for i, j in np.ndindex(4, 4):
        bias[:, i, j] = table[i // 2 - j // 2 + 6, i % 2 - j % 2 + 6]
    weights = softmax(np.einsum("nhd,mhd->hnm", q, k) / np.sqrt(2) + bias, axis=-1)
    mixed = np.einsum("hnm,mhd->nhd", weights, v).reshape(4, 4)
    expected = mixed @ params["out"]["kernel"] + params["out"]["bias"]
    got = module.apply(variables, x, train=False).reshape(4, 4)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def seen(shifted, position):
    """Which positions of a 4x4 map the output at `position` depends on, in windows of 2."""
    module, variables, x = attention((4, 4), window_size=2, shifted=shifted)
    gradient = jax.grad(lambda x: module.apply(variables, x, train=False)[0, *position].sum())(x)
    return {tuple(map(int, at)) for at in np.argwhere(np.abs(gradient[0]).max(-1) > 0)}


@pytest.mark.parametrize(
    ("shifted", "position", "expected"),
    [
        (False, (1, 1), {(0, 0), (0, 1), (1, 0), (1, 1)}),
        (True, (1, 1), {(1, 1), (1, 2), (2, 1), (2, 2)}),
        (True, (0, 0), {(0, 0)}),  # the corners meet in one window and do not see each other
        (True, (3, 0), {(3, 0)}),
        (True, (0, 2), {(0, 1), (0, 2)}),
    ],
)
def test_what_a_window_sees(shifted, position, expected):
    assert seen(shifted, position) == expected


@pytest.mark.parametrize("tiling", ["transformers", "timm"])
@pytest.mark.parametrize("size", [(1, 1), (4, 64), (33, 18)])
def test_any_image_size_with_the_same_parameters(size, tiling):
    model = models.create("swin", 3, **SMALL, tiling=tiling)
    params = models.abstract_params(model, (*size, 3))
    reference = models.abstract_params(model, (24, 24, 3))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, reference)
    images = jax.ShapeDtypeStruct((2, *size, 3), "float32")
    assert jax.eval_shape(model.apply, {"params": params}, images).shape == (2, 3)


def test_tilings_are_known_by_name():
    model = models.create("swin", 3, **SMALL, tiling="torch")
    with pytest.raises(UserError, match=r"config\.model\.tiling='torch' is unknown; choose from"):
        models.abstract_params(model, (24, 24, 3))


@pytest.mark.parametrize(
    ("size", "alike"),
    [
        ((24, 24), True),  # 12x12 and 6x6 tokens: windows of 3 tile both
        ((14, 24), False),  # 7x12
        ((6, 12), False),  # 3x6: timm shifts along the rows
        ((4, 4), True),  # 2x2 and 1x1: one window
        ((4, 6), False),  # 2x3: timm's window is as wide
        ((25, 24), False),  # timm cuts off a row of pixels, transformers adds one
    ],
)
def test_where_the_tilings_differ(size, alike):
    model = models.create("swin", 3, **SMALL)
    assert model.tiled_alike(*size) == alike


@pytest.mark.parametrize(("tiling", "inside"), [("timm", (24, 24)), ("transformers", (26, 26))])
def test_pixels_that_fill_no_patch(tiling, inside):
    model = models.create("swin", 3, **SMALL, tiling=tiling)
    images = jax.random.normal(KEY, (1, 25, 25, 3))
    variables = model.init(KEY, images)
    padded = jnp.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))
    expected = model.apply(variables, padded[:, : inside[0], : inside[1]])
    np.testing.assert_array_equal(model.apply(variables, images), expected)


def test_heads_for_each_stage():
    model = models.create("swin", 3, **SMALL | {"num_heads": (1,)})
    with pytest.raises(UserError, match=r"num_heads=\(1,\) and stage_sizes=\(2, 2\) should be eq"):
        models.abstract_params(model, (8, 8, 3))


def test_heads_divide_the_width_of_their_stage():
    model = models.create("swin", 3, **SMALL | {"num_heads": (1, 3)})
    with pytest.raises(UserError, match=r"3 heads do not divide the width 16 of stage 1; change"):
        models.abstract_params(model, (8, 8, 3))
