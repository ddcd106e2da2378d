"""Parameter counts of the published rows, to the digit (see vitjax/published)."""

import jax
import pytest

from vitjax import models

MNIST, CIFAR, GALAXY = (28, 28, 1), (32, 32, 3), (224, 224, 3)

LIGHT = dict(hidden_dim=8, num_layers=2, num_heads=2, mlp_dim=32, position_embedding="sincos")
SCRATCH = dict(position_on_class_token=False)


def scratch(width: int) -> dict:
    return dict(
        hidden_dim=width, mlp_dim=2 * width, head_hidden_dims=(width,), head_activation="tanh",
        position_on_class_token=False,
    )  # fmt: skip


def seed_002(mlp_dim: int) -> dict:
    return dict(patch_size=7, hidden_dim=128, num_layers=4, mlp_dim=mlp_dim)


def mixer(num_layers: int) -> dict:
    return dict(hidden_dim=8, num_layers=num_layers, tokens_mlp_dim=196, mlp_dim=32)


GALAXY_VIT = dict(
    patch_size=16, num_layers=8, hidden_dim=256, mlp_dim=64, num_heads=8, head_dim=64,
    qkv_bias=False,
)  # fmt: skip
GALAXY_LINFORMER = dict(
    patch_size=28, num_layers=12, hidden_dim=128, mlp_dim=512, num_heads=8, k_dim=64
)


def seed_004(patch_size: int, num_layers: int) -> dict:
    return dict(
        patch_size=patch_size, num_layers=num_layers, hidden_dim=192, mlp_dim=384, norm="post",
        final_norm=False, head_hidden_dims=(384, 192), head_activation="relu",
        head_activate_logits=True,
    )  # fmt: skip


ROWS = {
    "ViT Light": ("vit", MNIST, 10, LIGHT, 1_994),
    "comparison ViT, 28x28": ("vit", MNIST, 10, scratch(64), 210_058),
    "comparison ViT, 32x32": ("vit", CIFAR, 10, scratch(128), 827_530),
    "comparison ViT, 100 classes": ("vit", CIFAR, 100, scratch(128), 839_140),
    "seed 002, MLP 128": ("vit", MNIST, 10, seed_002(128), 408_586),
    "seed 002, MLP 256": ("vit", MNIST, 10, seed_002(256), 540_170),
    "seed 002, MLP 512": ("vit", MNIST, 10, seed_002(512), 803_338),
    "Mixer, 12 blocks": ("mixer", MNIST, 10, mixer(12), 240_686),
    "Mixer, 5 blocks": ("mixer", MNIST, 10, mixer(5), 100_427),
    "Galaxy ViT": ("vit", GALAXY, 8, GALAXY_VIT, 4_719_368),
    "Galaxy Linformer": ("linformer", GALAXY, 8, GALAXY_LINFORMER, 2_785_416),
    "Galaxy Linformer, shared": (
        "linformer", GALAXY, 8, GALAXY_LINFORMER | {"share_kv": True}, 2_538_888,
    ),
    "seed 004, 4p4l": ("vit", CIFAR, 100, seed_004(4, 4), 1_377_508),
    "seed 004, 4p8l": ("vit", CIFAR, 100, seed_004(4, 8), 2_565_604),
    "seed 004, 8p4l": ("vit", CIFAR, 100, seed_004(8, 4), 1_395_940),
    "seed 004, 8p8l": ("vit", CIFAR, 100, seed_004(8, 8), 2_584_036),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_num_params(row):
    name, image_shape, num_classes, options, expected = ROWS[row]
    model = models.create(name, num_classes, **options)
    params = models.abstract_params(model, image_shape)
    assert models.num_params(params) == expected
    images = jax.ShapeDtypeStruct((2, *image_shape), "float32")
    assert jax.eval_shape(model.apply, {"params": params}, images).shape == (2, num_classes)


def test_every_model_has_a_row():
    assert {row[0] for row in ROWS.values()} == set(models.MODELS)


@pytest.mark.parametrize(
    ("patch_size", "num_layers", "macs"),
    [(4, 4, 83_923_200), (4, 8, 167_089_920), (8, 4, 21_254_400), (8, 8, 41_752_320)],
)
def test_num_macs_of_seed_004(patch_size, num_layers, macs):
    model = models.create("vit", 100, **seed_004(patch_size, num_layers))
    assert models.num_macs(model, CIFAR) == macs
