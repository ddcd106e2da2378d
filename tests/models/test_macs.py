"""Multiply-accumulates in closed form: by hand, traced, and by XLA's cost analysis."""

import flax.linen as nn
import jax
import pytest

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.macs import layer_macs

MNIST, CIFAR, GALAXY = (28, 28, 1), (32, 32, 3), (224, 224, 3)


def seed_004(patch_size: int, num_layers: int) -> nn.Module:
    return models.create(
        "vit", 100, patch_size=patch_size, num_layers=num_layers, hidden_dim=192, mlp_dim=384,
        num_heads=4, norm="post", final_norm=False, head_hidden_dims=(384, 192),
    )  # fmt: skip


def galaxy(name: str, **options) -> nn.Module:
    return models.create(name, 8, num_layers=2, hidden_dim=256, num_heads=8, **options)


MODELS = {  # model, image, how much XLA may count besides: norms, softmax and GELU
    "4p4l": (seed_004(4, 4), CIFAR, 0.05),
    "8p8l": (seed_004(8, 8), CIFAR, 0.05),
    "galaxy ViT": (galaxy("vit", patch_size=16, head_dim=64, qkv_bias=False), GALAXY, 0.02),
    "galaxy Linformer": (galaxy("linformer", patch_size=28, k_dim=64), GALAXY, 0.04),
    "galaxy Linformer, shared": (
        galaxy("linformer", patch_size=28, k_dim=64, share_kv=True), GALAXY, 0.04
    ),
    "wide Mixer": (
        models.create("mixer", 8, patch_size=14, num_layers=2, hidden_dim=256, activation="relu"),
        GALAXY, 0.03,
    ),
    "compact ViT": (
        models.create(
            "vit", 8, stem="conv3x3", stem_dim=16, pool="attention", num_registers=3, num_layers=2,
        ),
        CIFAR, 0.05,
    ),
    "registers beside a class token": (
        galaxy("linformer", patch_size=28, num_registers=3), GALAXY, 0.04
    ),
    "heads without output projection": (galaxy("vit", patch_size=32, out_proj=False), GALAXY, 0.03),
}  # fmt: skip


@pytest.mark.parametrize(
    ("patch_size", "num_layers", "macs"),
    [(4, 4, 83_923_200), (4, 8, 167_089_920), (8, 4, 21_254_400), (8, 8, 41_752_320)],
)
def test_by_hand(patch_size, num_layers, macs):
    layers = layer_macs(seed_004(patch_size, num_layers), CIFAR)
    assert sum(layers.values()) == macs
    assert (layers["stem"], layers["head"]) == (589_824, 166_656)


@pytest.mark.parametrize("name", MODELS)
def test_closed_form_equals_the_traced_count(name):
    model, image_shape, _ = MODELS[name]
    assert sum(layer_macs(model, image_shape).values()) == models.num_macs(model, image_shape)


@pytest.mark.parametrize("name", MODELS)
def test_closed_form_is_near_the_cost_analysis_of_xla(name):
    model, image_shape, besides = MODELS[name]
    params = models.abstract_params(model, image_shape)
    images = jax.ShapeDtypeStruct((1, *image_shape), "float32")
    cost = jax.jit(model.apply).lower({"params": params}, images).cost_analysis()
    products = 2 * sum(layer_macs(model, image_shape).values())
    assert 1 < cost["flops"] / products < 1 + besides


def test_other_models_are_refused():
    with pytest.raises(UserError, match=r"Dense given, expected a ViT.*num_macs"):
        layer_macs(nn.Dense(3), MNIST)
