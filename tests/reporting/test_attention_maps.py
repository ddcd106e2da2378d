"""Attention weights against what the layers put out, and what follows from them by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import models
from vitjax.errors import UserError
from vitjax.reporting.attention_maps import (
    attention_on,
    attention_weights,
    pooled_maps,
    rollout,
)

IMAGES = np.random.RandomState(0).randn(3, 8, 12, 1).astype(np.float32)  # 2x3 patches of 4 pixels
SMALL = dict(num_layers=2, hidden_dim=16, mlp_dim=8, num_heads=2)


def built(name, **options):
    model = models.create(name, 5, **SMALL, **options)
    return model, jax.jit(model.init)(jax.random.key(1), jnp.asarray(IMAGES))


def inside(model, variables):
    """What the token mixer of each layer is given and gives, [B, N, D] each."""
    apply = functools.partial(model.apply, capture_intermediates=True)
    _, state = jax.jit(apply)(variables, jnp.asarray(IMAGES))
    blocks = (state["intermediates"]["encoder"][f"block_{layer}"] for layer in range(2))
    return [(b["mixer_norm"]["__call__"][0], b["mixer"]["__call__"][0]) for b in blocks]


@pytest.mark.parametrize("options", [{}, {"head_dim": 5}, {"pool": "mean"}])
def test_weights_times_values_are_the_layers_output(options):
    model, variables = built("vit", **options)
    weights = attention_weights(model, variables, IMAGES)
    assert weights.shape == (2, 3, 2, *2 * [6 + (model.pool == "cls")])
    for layer, (tokens, expected) in enumerate(inside(model, variables)):
        params = variables["params"]["encoder"][f"block_{layer}"]["mixer"]
        qkv = tokens @ params["qkv"]["kernel"] + params["qkv"]["bias"]
        _, _, values = np.split(qkv, 3, axis=-1)
        values = values.reshape(*values.shape[:2], 2, -1)
        mixed = np.einsum("bhnm,bmhd->bnhd", weights[layer], values)
        out = mixed.reshape(*mixed.shape[:2], -1) @ params["out"]["kernel"] + params["out"]["bias"]
        np.testing.assert_allclose(out, expected, atol=1e-5)


def test_watching_changes_no_logits():
    model, variables = built("vit")
    apply = jax.jit(model.apply)
    before = apply(variables, jnp.asarray(IMAGES))
    attention_weights(model, variables, IMAGES)
    apply.clear_cache()  # traced anew
    np.testing.assert_array_equal(before, apply(variables, jnp.asarray(IMAGES)))


@pytest.mark.parametrize("share_kv", [False, True])
def test_linformer_shares_each_sum_out_among_its_tokens(share_kv):
    model, variables = built("linformer", k_dim=4, share_kv=share_kv)
    tokens, _ = inside(model, variables)[0]
    params = variables["params"]["encoder"]["block_0"]["mixer"]
    query, key, *_ = np.split(tokens @ params["qkv"]["kernel"], 2 if share_kv else 3, axis=-1)
    projection = np.asarray(params["key_projection"])  # [N, k]
    expected = np.zeros((3, 2, 7, 7))
    for b, h in np.ndindex(3, 2):
        one = slice(8 * h, 8 * h + 8)  # the channels of a head
        logits = query[b, :, one] @ (projection.T @ key[b, :, one]).T / 8**0.5  # [N, k]
        sums = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected[b, h] = sums @ (abs(projection) / abs(projection).sum(axis=0)).T
    found = attention_weights(model, variables, IMAGES)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_rollout_by_hand():
    first, second = [[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]
    weights = np.array([first, second])[:, None, None]  # two layers, one image, one head
    # (first + 1)/2 = [[1, 0], [.25, .75]], (second + 1)/2 = [[.5, .5], [.5, .5]]
    np.testing.assert_allclose(rollout(weights), [[[0.625, 0.375], [0.625, 0.375]]])


def test_rollout_averages_heads():
    heads = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])[None, None]
    np.testing.assert_allclose(rollout(heads), [[[0.75, 0.25], [0.25, 0.75]]])


def test_class_token_is_asked_and_left_out():
    weights = np.arange(25.0).reshape(5, 5)
    np.testing.assert_array_equal(pooled_maps(weights, (2, 2)), [[1, 2], [3, 4]])


def test_without_class_token_all_queries_count_alike():
    weights = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(pooled_maps(weights, (2, 2)), [[6, 7], [8, 9]])


@pytest.mark.parametrize("name", ["vit", "linformer"])
def test_maps_are_made_from_the_weights(name):
    model, variables = built(name)
    weights = attention_weights(model, variables, IMAGES)
    maps = attention_on(model, variables, IMAGES)
    assert maps.heads.shape == (3, 2, 2, 2, 3)
    np.testing.assert_allclose(
        maps.heads[2, 1], weights[1, 2, :, 0, 1:].reshape(2, 2, 3), atol=1e-6
    )
    np.testing.assert_allclose(maps.rollout[2], rollout(weights)[2, 0, 1:].reshape(2, 3), atol=1e-6)


def test_mixer_is_refused():
    model = models.create("mixer", 5, num_layers=1)
    variables = models.abstract_variables(model, IMAGES.shape[1:])
    with pytest.raises(UserError, match=r"Mixer has no attention.*ViT and Linformer"):
        attention_weights(model, variables, IMAGES)
