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


@pytest.mark.parametrize(
    "options", [{}, {"head_dim": 5}, {"pool": "mean"}, {"num_registers": 2, "layer_scale": 0.1}]
)
def test_weights_times_values_are_the_layers_output(options):
    model, variables = built("vit", **options)
    weights = attention_weights(model, variables, IMAGES)
    assert weights.shape == (2, 3, 2, *2 * [6 + (model.pool == "cls") + model.num_registers])
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


def test_queries_count_as_the_head_sees_them_and_other_tokens_are_left_out():
    weights = np.arange(25.0).reshape(5, 5)
    class_token, two_patches = np.eye(5)[0], np.array([0, 0, 0.75, 0, 0.25])
    np.testing.assert_array_equal(pooled_maps(weights, class_token, (2, 2)), [[1, 2], [3, 4]])
    # Of 5 tokens 2 are no patches; rows 2 and 4 begin with 10 and 20.
    np.testing.assert_array_equal(pooled_maps(weights, two_patches, (1, 3)), [[14.5, 15.5, 16.5]])


@pytest.mark.parametrize(
    ("name", "pool", "num_registers"),
    [
        *(("vit", "cls", 0), ("vit", "cls", 2), ("vit", "mean", 2), ("vit", "attention", 0)),
        *(("linformer", "cls", 0), ("linformer", "mean", 2), ("linformer", "attention", 2)),
    ],
)
def test_maps_are_of_what_the_head_sees(name, pool, num_registers):
    model, variables = built(name, pool=pool, num_registers=num_registers)
    weights = attention_weights(model, variables, IMAGES)
    if pool == "cls":
        shares = np.eye(1, 7 + num_registers)
    elif pool == "mean":
        shares = np.array([[0.0] * num_registers + [1 / 6] * 6])
    else:  # the softmax of the patches' scores, after the last norm
        _, state = model.apply(variables, jnp.asarray(IMAGES), capture_intermediates=True)
        normed = state["intermediates"]["final_norm"]["__call__"][0]
        scores = np.asarray(normed @ variables["params"]["pool"]["score"]["kernel"])[..., 0]
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        shares = np.pad(shares, [(0, 0), (num_registers, 0)])
    shares = np.broadcast_to(shares, (3, weights.shape[-1]))
    maps = attention_on(model, variables, IMAGES)
    of_heads = np.einsum("bn,lbhnm->blhm", shares, weights)[..., -6:]
    np.testing.assert_allclose(maps.heads, of_heads.reshape(3, 2, 2, 2, 3), atol=1e-6)
    of_all = np.einsum("bn,bnm->bm", shares, rollout(weights))[:, -6:]
    np.testing.assert_allclose(maps.rollout, of_all.reshape(3, 2, 3), atol=1e-6)


def test_mixer_is_refused():
    model = models.create("mixer", 5, num_layers=1)
    variables = models.abstract_variables(model, IMAGES.shape[1:])
    with pytest.raises(UserError, match=r"Mixer has no attention.*ViT and Linformer"):
        attention_weights(model, variables, IMAGES)
