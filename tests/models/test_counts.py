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


def cct(num_layers: int, patch_size: int, width: int, mlp_dim: int, **options) -> dict:
    """CCT (https://arxiv.org/abs/2104.05704), whose pooling has a bias, which does nothing."""
    return dict(
        stem="conv3x3", patch_size=patch_size, hidden_dim=width, num_layers=num_layers,
        num_heads=2, mlp_dim=mlp_dim, pool="attention", qkv_bias=False, **options,
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
    # Published in millions: 0.284, 0.482, 3.168 (of fixed positions) and 3.760.
    "CCT-2/3x2": ("vit", CIFAR, 10, cct(2, 4, 128, 128), 283_722),
    "CCT-4/3x2": ("vit", CIFAR, 10, cct(4, 4, 128, 128), 482_122),
    "CCT-6/3x1": ("vit", CIFAR, 10, cct(6, 2, 256, 512, position_embedding="sincos"), 3_168_266),
    "CCT-7/3x1": ("vit", CIFAR, 10, cct(7, 2, 256, 512), 3_760_138),
}  # fmt: skip
VARIANTS = {  # on 224x224 images in colour: (classes, parameters, those of the head)
    "vit_ti": (1000, 5_717_416, 193_000),
    "vit_s": (1000, 22_050_664, 385_000),
    "vit_b": (8, 85_804_808, 6_152),
    "vit_l": (1000, 304_326_632, 1_025_000),
    "resnet18": (100, 11_227_812, 51_300),
    "resnet34": (1000, 21_797_672, 513_000),
    "resnet50": (1000, 25_557_032, 2_049_000),
    "vgg11_bn": (1000, 132_868_840, 4_097_000),
    "vgg13_bn": (1000, 133_053_736, 4_097_000),
    "vgg16_bn": (8, 134_301_768, 32_776),
    "vgg19_bn": (1000, 143_678_248, 4_097_000),
    "swin_t": (100, 27_596_254, 76_900),
    "swin_s": (100, 48_914_158, 76_900),
    "swin_b": (1000, 87_768_224, 1_025_000),
    "swin_l": (100, 195_149_176, 153_700),
}
MORE_CLASSES = [
    ("vit_b", 10, 85_806_346), ("vit_b", 100, 85_875_556), ("resnet18", 8, 11_180_616),
    ("resnet18", 10, 11_181_642), ("resnet18", 1000, 11_689_512), ("resnet50", 8, 23_524_424),
    ("vgg16_bn", 1000, 138_365_992), ("swin_t", 1000, 28_288_354),
]  # fmt: skip
FEATURES = {  # without a head: (parameters, width)
    "vit_b": (85_798_656, 768),
    "resnet18": (11_176_512, 512),
    "vgg16_bn": (134_268_992, 4096),
    "swin_t": (27_519_354, 768),
}


@pytest.mark.parametrize("row", ROWS)
def test_num_params(row):
    name, image_shape, num_classes, options, expected = ROWS[row]
    model = models.create(name, num_classes, **options)
    assert models.num_params(models.abstract_params(model, image_shape)) == expected
    assert output_shape(model, image_shape) == (2, num_classes)


def output_shape(model, image_shape):
    """Of two images."""
    images = jax.ShapeDtypeStruct((2, *image_shape), "float32")
    return jax.eval_shape(model.apply, models.abstract_variables(model, image_shape), images).shape


def test_every_model_has_a_row():
    assert set(VARIANTS) == set(models.VARIANTS)
    of_variants = {name for name, _ in models.VARIANTS.values()}
    assert {row[0] for row in ROWS.values()} | of_variants == set(models.MODELS)


@pytest.mark.parametrize("name", VARIANTS)
def test_num_params_of_a_variant(name):
    num_classes, expected, in_head = VARIANTS[name]
    params = models.abstract_params(models.create(name, num_classes), GALAXY)
    assert models.num_params(params) == expected
    assert models.num_params(params["head"]) == in_head


@pytest.mark.parametrize(("name", "num_classes", "expected"), MORE_CLASSES)
def test_num_params_with_other_classes(name, num_classes, expected):
    params = models.abstract_params(models.create(name, num_classes), GALAXY)
    assert models.num_params(params) == expected


@pytest.mark.parametrize("name", FEATURES)
def test_features_without_a_head(name):
    expected, width = FEATURES[name]
    model = models.create(name, 0)
    params = models.abstract_params(model, GALAXY)
    assert models.num_params(params) == expected
    assert "head" not in params
    assert output_shape(model, GALAXY) == (2, width)


def test_running_statistics_are_no_parameters():
    variables = models.abstract_variables(models.create("resnet18", 100), GALAXY)
    channels = 64 + 4 * 64 + 5 * 128 + 5 * 256 + 5 * 512  # a mean and a variance of each
    assert models.num_params(variables["batch_stats"]) == 2 * channels
    assert set(variables) == {"params", "batch_stats"}


def test_num_macs_of_resnet18():
    assert models.num_macs(models.create("resnet18", 0), GALAXY) == 1_813_561_344
    assert models.num_macs(models.create("resnet18", 100), GALAXY) == 1_813_561_344 + 51_200


def test_num_macs_of_vgg16():
    convolutions = 9 * 64 * (3 + 64) * 224**2 + 9 * 128 * (64 + 128) * 112**2
    convolutions += 9 * 256 * (128 + 2 * 256) * 56**2
    convolutions += 9 * 512 * (256 + 2 * 512) * 28**2 + 9 * 512 * 3 * 512 * 14**2
    linear = 7**2 * 512 * 4096 + 4096**2 + 4096 * 8
    assert models.num_macs(models.create("vgg16_bn", 8), GALAXY) == convolutions + linear


@pytest.mark.parametrize(
    ("patch_size", "num_layers", "macs"),
    [(4, 4, 83_923_200), (4, 8, 167_089_920), (8, 4, 21_254_400), (8, 8, 41_752_320)],
)
def test_num_macs_of_seed_004(patch_size, num_layers, macs):
    model = models.create("vit", 100, **seed_004(patch_size, num_layers))
    assert models.num_macs(model, CIFAR) == macs
