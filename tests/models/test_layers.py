"""Layers against plain NumPy, and their errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, softmax

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.parts import layers

KEY = jax.random.key(0)


def randomised(model, *inputs, **kwargs):
    """Parameters drawn from N(0, 0.3), so that no bias or scale hides."""
    variables = jax.eval_shape(lambda *x: model.init(KEY, *x, **kwargs), *inputs)
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return jax.tree.unflatten(
        tree, [0.3 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    )


def tokens(batch=2, length=5, width=8):
    return jax.random.normal(jax.random.key(2), (batch, length, width))


def layer_norm(x, params, epsilon=1e-5):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + epsilon) * params["scale"] + params["bias"]


def linear(x, params):
    return x @ np.asarray(params["kernel"]) + np.asarray(params.get("bias", 0))


def mlp(x, params):
    y = linear(x, params["in"])
    return linear(y * 0.5 * (1 + erf(y / np.sqrt(2))), params["out"])


def test_self_attention():
    module = models.SelfAttention(num_heads=2, head_dim=3)
    x = tokens()
    variables = randomised(module, x, train=False)
    params = variables["params"]
    qkv = linear(np.asarray(x), params["qkv"]).reshape(2, 5, 3, 2, 3)
    q, k, v = np.moveaxis(qkv, 2, 0)
    weights = softmax(np.einsum("bnhd,bmhd->bhnm", q, k) / np.sqrt(3), axis=-1)
    expected = linear(np.einsum("bhnm,bmhd->bnhd", weights, v).reshape(2, 5, 6), params["out"])
    np.testing.assert_allclose(module.apply(variables, x, train=False), expected, atol=1e-5)


def test_attention_dropout_off_equals_the_fast_path():
    x = tokens()
    module = models.SelfAttention(num_heads=2, dropout_rate=1e-9)
    variables = randomised(module, x, train=False)
    slow = module.apply(variables, x, train=True, rngs={"dropout": KEY})
    np.testing.assert_allclose(slow, module.apply(variables, x, train=False), atol=1e-5)


@pytest.mark.parametrize("share_kv", [False, True])
def test_linformer_attention(share_kv):
    module = models.LinformerAttention(num_heads=2, k_dim=3, share_kv=share_kv)
    x = tokens()
    variables = randomised(module, x, train=False)
    params = variables["params"]
    query, key, *value = np.split(linear(np.asarray(x), params["qkv"]), 2 if share_kv else 3, -1)
    key = np.einsum("bnd,nk->bkd", key, params["key_projection"])
    if not share_kv:
        key_value = np.einsum("bnd,nk->bkd", value[0], params["value_projection"])
    value = key if share_kv else key_value
    q, k, v = (y.reshape(2, -1, 2, 4) for y in (query, key, value))
    weights = softmax(np.einsum("bnhd,bmhd->bhnm", q, k) / 2, axis=-1)
    expected = linear(np.einsum("bhnm,bmhd->bnhd", weights, v).reshape(2, 5, 8), params["out"])
    np.testing.assert_allclose(module.apply(variables, x, train=False), expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("layer_scale", [0.0, 0.5])
def test_block(norm, skip, layer_scale):
    def mixer(name):
        return models.Mlp(4, name=name)

    def channel_mlp(name):
        return models.Mlp(6, name=name)

    module = models.Block(mixer, channel_mlp, norm=norm, skip=skip, layer_scale=layer_scale)
    x = tokens()
    variables = randomised(module, x, train=False)
    params = variables["params"]
    expected = np.asarray(x)
    for part in ("mixer", "mlp"):
        inner = expected
        if norm == "pre":
            inner = layer_norm(inner, params[f"{part}_norm"])
        branch = mlp(inner, params[part])
        if layer_scale:
            branch = branch * params[f"{part}_layer_scale"]["scale"]
        expected = branch + (expected if skip else 0)
        if norm == "post":
            expected = layer_norm(expected, params[f"{part}_norm"])
    np.testing.assert_allclose(module.apply(variables, x, train=False), expected, atol=1e-4)


def test_layer_scale_starts_as_told():
    model = models.ViT(num_classes=3, hidden_dim=8, num_layers=1, mlp_dim=8, layer_scale=0.25)
    block = model.init(KEY, jnp.zeros((1, 8, 8, 1)))["params"]["encoder"]["block_0"]
    for branch in ("mixer", "mlp"):
        np.testing.assert_array_equal(block[f"{branch}_layer_scale"]["scale"], [0.25] * 8)


def test_attention_pool_is_a_mean_by_the_softmax_of_scores():
    module = layers.AttentionPool()
    x = tokens()
    variables = randomised(module, x)
    shares = softmax(np.asarray(x) @ variables["params"]["score"]["kernel"], axis=1)
    np.testing.assert_allclose(module.apply(variables, x), (shares * x).sum(axis=1), atol=1e-6)


@pytest.mark.parametrize("name", ["vit", "mixer", "linformer"])
@pytest.mark.parametrize("pool", ["cls", "mean", "attention"])
def test_registers_are_mixed_with_and_not_pooled(name, pool):
    options = dict(hidden_dim=8, num_layers=1, mlp_dim=8, pool=pool, num_registers=2)
    model = models.create(name, 3, **options)
    images = jax.random.normal(KEY, (2, 8, 8, 1))
    variables = randomised(model, images)
    params = variables["params"]
    assert params["register_tokens"].shape == (1, 2, 8)

    @jax.jit
    def features(params):
        kept = {"capture_intermediates": lambda module, _: module.name in ("encoder", "final_norm")}
        logits, state = model.apply({"params": params}, images, **kept)
        found = (state["intermediates"][name]["__call__"][0] for name in ("encoder", "final_norm"))
        return logits, *found

    logits, encoded, normed = features(params)
    assert encoded.shape == (2, (pool == "cls") + 2 + 4, 8)
    seen = encoded[:, 0] if pool == "cls" else encoded[:, 2:]
    np.testing.assert_allclose(normed, layer_norm(seen, params["final_norm"]), atol=1e-5)
    other, *_ = features(params | {"register_tokens": -params["register_tokens"]})
    assert not np.allclose(logits, other)


@pytest.mark.slow
def test_registers_start_different():
    model = models.ViT(
        num_classes=3, hidden_dim=64, num_layers=1, embedding_std=0.0, num_registers=4
    )
    registers = model.init(KEY, jnp.zeros((1, 8, 8, 1)))["params"]["register_tokens"][0]
    assert np.std(registers, axis=0).min() > 0


def test_mixer_mixes_tokens_and_not_batches():
    model = models.Mixer(num_classes=3, hidden_dim=8, num_layers=1, tokens_mlp_dim=4, mlp_dim=6)
    images = jax.random.normal(KEY, (2, 8, 8, 1))
    variables = randomised(model, images)
    both = model.apply(variables, images)
    np.testing.assert_allclose(model.apply(variables, images[:1]), both[:1], atol=1e-5)


def test_cloned_layers_start_equal():
    model = models.ViT(num_classes=3, hidden_dim=8, num_layers=3, mlp_dim=8, clone_layers=True)
    variables = jax.jit(model.init)(KEY, jnp.zeros((1, 8, 8, 1)))
    blocks = variables["params"]["encoder"]
    assert set(blocks) == {"block_0", "block_1", "block_2"}
    for i in (1, 2):
        jax.tree.map(np.testing.assert_array_equal, blocks["block_0"], blocks[f"block_{i}"])


def test_layers_start_different_otherwise():
    model = models.ViT(num_classes=3, hidden_dim=8, num_layers=2, mlp_dim=8)
    blocks = model.init(KEY, jnp.zeros((1, 8, 8, 1)))["params"]["encoder"]
    kernels = [blocks[f"block_{i}"]["mlp"]["in"]["kernel"] for i in range(2)]
    assert not np.allclose(*kernels)


def test_activated_logits_are_not_negative():
    head = models.Head(4, (5,), activation="relu", activate_logits=True)
    x = jax.random.normal(KEY, (64, 8))
    logits = head.apply(head.init(KEY, x, train=False), x, train=False)
    assert logits.min() == 0
    assert logits.max() > 0


def test_sincos_positions():
    table = layers.sincos_2d(2, 3, 8)
    assert table.shape == (6, 8)
    y, x = 1, 2  # the last token
    expected = [f(p * w) for p, fs in ((x, (np.sin, np.cos)), (y, (np.sin, np.cos))) for f in fs
                for w in (1, 0.01)]  # fmt: skip
    np.testing.assert_allclose(table[5], expected, atol=1e-6)


def test_sincos_needs_width_divisible_by_4():
    with pytest.raises(UserError, match=r"divisible by 4, not 6.*config\.model\.hidden_dim"):
        layers.sincos_2d(2, 2, 6)


@pytest.mark.parametrize("pool", ["cls", "mean", "attention"])
@pytest.mark.parametrize("position", ["learned", "sincos", "none"])
def test_position_and_pool_parameters(pool, position):
    model = models.ViT(
        num_classes=3, hidden_dim=8, num_layers=1, mlp_dim=8, pool=pool, position_embedding=position
    )
    params = models.abstract_params(model, (8, 8, 1))
    assert ("class_token" in params) == (pool == "cls")
    length = params["position_embedding"].shape[1] if position == "learned" else None
    assert length == (None if position != "learned" else 4 + (pool == "cls"))


@pytest.mark.parametrize("rate", ["embedding", "mlp", "attention", "head", ""])
def test_dropout_in_each_place_changes_training_alone(rate):
    field = f"{rate}_dropout_rate" if rate else "dropout_rate"
    options = dict(hidden_dim=8, num_layers=1, mlp_dim=8, head_hidden_dims=(8,))
    model = models.ViT(num_classes=3, **options, **{field: 0.5})
    images = jax.random.normal(KEY, (4, 8, 8, 1))
    variables = randomised(model, images)
    plain = models.ViT(num_classes=3, **options).apply(variables, images, train=True)
    np.testing.assert_array_equal(model.apply(variables, images), plain)
    trained = model.apply(variables, images, train=True, rngs={"dropout": KEY})
    assert not np.allclose(trained, plain)


@pytest.mark.slow
def test_remat_computes_blocks_again_and_changes_nothing():
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    rates = dict(mlp_dropout_rate=0.5, drop_path_rate=0.5)
    plain, remat = (
        models.create("vit", 5, patch_size=4, num_layers=2, **rates, remat=remat)
        for remat in (False, True)
    )
    variables = plain.init(jax.random.key(1), images)

    def loss(model):
        rngs = {"dropout": jax.random.key(2)}
        return lambda v: jnp.sum(model.apply(v, images, train=True, rngs=rngs) ** 2)

    expected, found = (jax.jit(jax.grad(loss(model)))(variables) for model in (plain, remat))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-4), expected, found)
    jaxprs = [str(jax.make_jaxpr(jax.grad(loss(model)))(variables)) for model in (plain, remat)]
    assert jaxprs[1].count("erfc") == 2 * jaxprs[0].count("erfc")
