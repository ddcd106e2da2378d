"""What arrays do not show is compared with what lies beside them, or is known of their library."""

import json
import re

import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from golden import GOLDENS, fresh, load, unpack

import vitjax
from vitjax import models
from vitjax.errors import UserError
from vitjax.pretrained import weight_files
from vitjax.pretrained.load import Inputs, load_weights

HALF = (0.5, 0.5, 0.5)
VIT = dict(patch_size=4, hidden_dim=16, num_layers=2, num_heads=2)
SWIN = dict(patch_size=2, hidden_dim=8, num_heads=(2, 4), window_size=3, mlp_ratio=2)
MIXER = dict(patch_size=4, hidden_dim=16, num_layers=2, tokens_mlp_dim=8, mlp_dim=32)
VGG = dict(width=4, stage_sizes=(1, 2), hidden_dims=(6, 6))
RESNET = dict(width=4, stage_sizes=(1, 2), block="bottleneck")
HUGGING_FACE = {
    "model_type": "vit",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "num_attention_heads": 2,
}
TIMM = {
    "architecture": "vit_tiny_patch16_224",
    "global_pool": "token",
    "model_args": {"img_size": [12, 12], "num_classes": 5, "num_heads": 2},
    "pretrained_cfg": {"mean": list(HALF), "std": list(HALF), "input_size": [3, 12, 12]},
}


def said_of(folder, model, image_shape=(12, 12, 3)):
    """What is said of the weights in a folder, but for the first line."""
    said = []
    inputs = Inputs(image_shape, HALF, HALF)
    load_weights(str(folder), fresh(model, image_shape), model, inputs, said.append)
    return [line.strip() for line in said[1:]]


def save(folder, tensors, beside=None):
    """A folder with weights and what lies beside them."""
    weight_files.write(folder / "model.safetensors", tensors, {})
    if beside is not None:
        text = beside if isinstance(beside, str) else json.dumps(beside)
        (folder / "config.json").write_text(text)
    return folder


def hugging_face_vit(folder, **changes):
    model = models.create("vit", 5, **VIT, mlp_dim=20, norm_epsilon=1e-12)
    save(folder, load("transformers_vit")["tensors"], HUGGING_FACE | changes)
    return said_of(folder, model, (12, 8, 3))


def timm_vit(folder, beside, **changes):
    tensors = load("timm_vit")["tensors"]
    tensors["pos_embed"] = np.concatenate([tensors["pos_embed"], tensors["pos_embed"][:, :3]], 1)
    model = models.create("vit", 5, **VIT | {"mlp_dim": 64, "norm_epsilon": 1e-6} | changes)
    return said_of(save(folder, tensors, beside), model)


def hugging_face_resnet(folder, **changes):
    tensors = load("transformers_resnet_bottleneck")["tensors"]
    save(folder, tensors, {"model_type": "resnet", "layer_type": "bottleneck"} | changes)
    return said_of(folder, models.create("resnet", 5, **RESNET), (21, 18, 3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"hidden_act": "relu"}, ["config.model.activation='relu', here 'gelu'"]),
        ({"hidden_act": "gelu_new"}, ["config.model.activation='gelu_tanh', here 'gelu'"]),
        ({"layer_norm_eps": 1e-6}, ["config.model.norm_epsilon=1e-06, here 1e-12"]),
        ({"num_attention_heads": 4}, ["config.model.num_heads=4, here 2"]),
    ],
)
def test_hugging_faces_config_is_compared(changes, said, tmp_path):
    expected = [f"warning: trained with {text}" for text in said]
    assert hugging_face_vit(tmp_path, **changes) == expected


def test_what_hugging_faces_config_leaves_out_is_the_librarys_default(tmp_path):
    save(tmp_path, load("transformers_vit")["tensors"], {"model_type": "vit"})
    model = models.create("vit", 5, **VIT, mlp_dim=20)
    assert said_of(tmp_path, model, (12, 8, 3)) == [
        "warning: trained with config.model.norm_epsilon=1e-12, here 1e-05",
        "warning: trained with config.model.num_heads=12, here 2",
    ]


def test_a_vit_msn_of_hugging_face_is_compared_with_its_own_defaults(tmp_path):
    config = {"model_type": "vit_msn", "hidden_act": "relu", "num_attention_heads": 2}
    save(tmp_path, load("transformers_vit")["tensors"], config)
    assert said_of(tmp_path, models.create("vit", 5, **VIT, mlp_dim=20), (12, 8, 3)) == [
        "warning: trained with config.model.activation='relu', here 'gelu'",
        "warning: trained with config.model.norm_epsilon=1e-06, here 1e-05",
    ]


def test_another_network_of_hugging_face_is_refused(tmp_path):
    message = r"config\.json says model_type='yolos', expected one of vit, vit_msn; .* no other"
    with pytest.raises(UserError, match=message):
        hugging_face_vit(tmp_path, model_type="yolos")


def test_a_swin_whose_norms_differ_in_their_epsilon_is_refused(tmp_path):
    config = {"model_type": "swin", "layer_norm_eps": 1e-6}
    save(tmp_path, load("transformers_swin")["tensors"], config)
    model = models.create("swin", 5, **SWIN, stage_sizes=(2, 2), norm_epsilon=1e-6)
    with pytest.raises(UserError, match=r"says layer_norm_eps=1e-06, expected 1e-05; vitjax"):
        said_of(tmp_path, model, (11, 14, 3))
    save(tmp_path, load("transformers_swin")["tensors"], config | {"layer_norm_eps": 1e-5})
    assert said_of(tmp_path, model, (11, 14, 3)) == [
        "warning: trained with config.model.norm_epsilon=1e-05, here 1e-06"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"downsample_in_bottleneck": True}, "downsample_in_bottleneck=True, expected False"),
        ({"downsample_in_first_stage": True}, "downsample_in_first_stage=True, expected False"),
        ({"hidden_act": "gelu"}, "hidden_act='gelu', expected 'relu'"),
    ],
)
def test_a_resnet_that_computes_otherwise_is_refused(changes, said, tmp_path):
    assert hugging_face_resnet(tmp_path, downsample_in_bottleneck=False) == []
    with pytest.raises(UserError, match=rf"config\.json says {said}; .* computes no other"):
        hugging_face_resnet(tmp_path, **changes)


def test_an_activation_that_is_none_here_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"says hidden_act='quick_gelu', expected one of gelu, "):
        hugging_face_vit(tmp_path, hidden_act="quick_gelu")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"global_pool": "avg"}, ["warning: trained with config.model.pool='mean', here 'cls'"]),
        (
            {"model_args": {"act_layer": "relu", "num_heads": 4, "depth": 2}},
            [
                "warning: trained with config.model.activation='relu', here 'gelu'",
                "warning: trained with config.model.num_heads=4, here 2",
            ],
        ),
        (
            {
                "model_args": {"num_heads": 2},
                "pretrained_cfg": {"mean": [0.5, 0.25, 0.5], "input_size": [3, 24, 24]},
            },
            [
                "warning: trained with config.data.mean=(0.5, 0.25, 0.5), here (0.5, 0.5, 0.5)",
                "trained on images of 24 pixels, here 12x12",
            ],
        ),
        (
            {"model_args": {"norm_layer": "rms\x1bnorm", "num_heads": 2}},
            [r"config.json says norm_layer='rms\x1bnorm', which is not checked"],
        ),
    ],
)
def test_timms_config_is_compared(changes, said, tmp_path):
    assert timm_vit(tmp_path, TIMM | changes) == said


@pytest.mark.parametrize(
    ("case", "name", "options", "architecture", "like"),
    [
        ("torchvision_resnet", "resnet", RESNET, "resnetblur18", "resnet50"),
        ("torchvision_resnet", "resnet", RESNET, "resnetaa50", "resnet50"),
        ("timm_vit", "vit", VIT, "vit_base_patch16_rpn_224", "vit_base_patch16_224"),
        ("timm_vit", "vit", VIT, "vit_base_patch16_clip_quickgelu_224", "vit_base_patch16_224"),
        ("timm_mixer", "mixer", MIXER, "gmixer_12_224", "mixer_b16_224"),
        (
            "timm_swin",
            "swin",
            SWIN | {"stage_sizes": (2, 1)},
            "swin_s3_tiny_224",
            "swin_tiny_patch4_window7_224",
        ),
        ("timm_vgg", "vgg", VGG, "vgg16", "vgg16_bn"),
    ],
)
def test_an_architecture_of_timm_that_is_none_here_is_refused(
    case, name, options, architecture, like, tmp_path
):
    save(tmp_path, load(case)["tensors"], TIMM | {"architecture": architecture})
    message = rf"says architecture='{architecture}', expected one such as {like}; vitjax"
    with pytest.raises(UserError, match=message):
        said_of(tmp_path, models.create(name, 5, **options), (12, 8, 3))


def test_timms_config_in_its_older_form_is_compared(tmp_path):
    """Without pretrained_cfg: what it says of images stood beside the architecture."""
    flat = {"architecture": "vit_base_patch16_rpn_224", "mean": list(HALF), "std": [0.1, 0.5, 0.5]}
    with pytest.raises(UserError, match=r"says architecture='vit_base_patch16_rpn_224', expected"):
        timm_vit(tmp_path, flat)
    said = timm_vit(tmp_path, flat | {"architecture": "vit_tiny_patch16_224"})
    assert any("std" in line and "0.1" in line for line in said)


@pytest.mark.parametrize(
    ("architecture", "activation"),
    [
        ("deit_small_patch16_224", "gelu"),
        ("vit_base_patch16_224_miil", "gelu"),
        ("vit_giant_patch16_gap_224", "gelu"),
        ("vit_base_patch16_siglip_gap_512", "gelu"),
        ("vit_so400m_patch14_siglip_gap_896", "gelu"),
        ("vit_large_patch16_siglip_gap_512", "gelu_tanh"),
        ("vit_so400m_patch16_siglip_gap_256", "gelu_tanh"),
    ],
)
def test_an_architecture_of_timm_tells_its_activation(architecture, activation, tmp_path):
    said = timm_vit(tmp_path, TIMM | {"architecture": architecture}, activation="relu")
    assert said == [f"warning: trained with config.model.activation={activation!r}, here 'relu'"]


@pytest.mark.parametrize(
    ("architecture", "num_heads"),
    [
        ("vit_tiny_patch16_224", 3),
        ("deit_small_patch16_224", 6),
        ("flexivit_base", 12),
        ("vit_base_patch16_gap_224", 16),
        ("vit_medium_patch16_gap_256", 8),
        ("vit_betwixt_patch16_gap_256", 10),
        ("vit_so400m_patch14_siglip_gap_224", 16),
        ("vit_giantopt_patch16_siglip_gap_256", 16),
    ],
)
def test_an_architecture_of_timm_tells_its_heads(architecture, num_heads, tmp_path):
    said = timm_vit(tmp_path, TIMM | {"architecture": architecture, "model_args": {}})
    assert f"warning: trained with config.model.num_heads={num_heads}, here 2" in said


def test_timms_epsilon_is_known(tmp_path):
    assert timm_vit(tmp_path, TIMM, norm_epsilon=1e-5) == [
        "warning: trained with config.model.norm_epsilon=1e-06, here 1e-05"
    ]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"image_size": [8, 12]}, "8x12"),
        ({"image_size": 24}, "24"),
        ({"image_size": ["8", 12]}, None),
    ],
)
def test_hugging_faces_config_tells_the_size_of_the_images(config, said, tmp_path):
    expected = [] if said is None else [f"trained on images of {said} pixels, here 12x8"]
    # Of 2x3 tokens or 6x6, neither of them the model's 3x2.
    resized = ["resized position_embedding of 1 + 2x3 tokens to 3x2"] if said == "8x12" else []
    assert hugging_face_vit(tmp_path, **config) == resized + expected


@pytest.mark.parametrize("input_shape", [[16, 16, 3], [8, 32, 3], None])
def test_exported_weights_know_the_grid_of_their_positions(input_shape, tmp_path):
    model = models.create("vit", 5, **VIT)
    arrays = flatten_dict(fresh(model, (8, 32, 3)), sep="/")
    weight_files.write(tmp_path / "a.safetensors", arrays, {"input_shape": input_shape})
    assert (
        said_of(tmp_path, model, (8, 32, 3))
        == {
            16: [
                "resized position_embedding of 1 + 4x4 tokens to 2x8",
                "trained on images of 16 pixels, here 8x32",
            ],
            8: [],
            0: ["position_embedding is taken to be of 2x8 tokens, as here, not of 4x4"],
        }[input_shape[0] if input_shape else 0]
    )


def test_a_run_knows_the_grid_of_its_positions(digits_run):
    run = vitjax.load(digits_run)
    height, width, channels = run.predictor.input_shape
    said = said_of(digits_run, run.model, (height // 2, width * 2, channels))
    assert re.fullmatch(r"resized position_embedding of 1 \+ (\d+)x\1 tokens to .*", said[0])
    assert f"trained on images of {height} pixels, here {height // 2}x{width * 2}" in said


def test_timms_config_tells_the_grid_of_its_positions(tmp_path):
    tensors = load("timm_vit")["tensors"]
    tensors["pos_embed"] = np.random.RandomState(0).randn(1, 11, 16).astype(np.float32)
    beside = TIMM | {"model_args": {"img_size": [8, 20], "num_heads": 2}}
    model = models.create("vit", 5, **VIT, mlp_dim=64, norm_epsilon=1e-6)
    assert said_of(save(tmp_path, tensors, beside), model) == [
        "resized position_embedding of 1 + 2x5 tokens to 3x3",
        "trained on images of 8x20 pixels, here 12x12",
    ]


def test_a_pooling_that_is_none_here_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"says global_pool='map', expected one of avg, token"):
        timm_vit(tmp_path, TIMM | {"global_pool": "map"})


@pytest.mark.parametrize(
    "beside", [{"config": {"model": {}}, "command": ""}, HUGGING_FACE, [1], {"architecture": 3}]
)
def test_a_config_of_something_else_is_said_not_to_be_read(beside, tmp_path):
    note = f"{tmp_path / 'config.json'} is not of the library of the weights, and is not read"
    assert timm_vit(tmp_path, beside) == [note]


@pytest.mark.parametrize("beside", ["{", "[" * 100_000])
def test_a_damaged_config_is_said(beside, tmp_path):
    (note,) = timm_vit(tmp_path, beside)
    assert note.startswith(f"warning: {tmp_path / 'config.json'} is damaged, and not checked")


def test_a_config_of_a_hub_repository_is_fetched_too(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--own--repo" / "snapshots" / "0"
    (tmp_path / "models--own--repo" / "refs").mkdir(parents=True)
    (tmp_path / "models--own--repo" / "refs" / "main").write_text("0")
    snapshot.mkdir(parents=True)
    save(snapshot, load("transformers_vit")["tensors"], HUGGING_FACE | {"num_attention_heads": 4})
    model = models.create("vit", 5, **VIT, mlp_dim=20, norm_epsilon=1e-12)
    assert said_of("hub:own/repo", model, (12, 8, 3)) == [
        "warning: trained with config.model.num_heads=4, here 2"
    ]


def test_exported_weights_know_their_options(tmp_path):
    model = models.create("vit", 5, **VIT)
    arrays = flatten_dict(fresh(model, (12, 12, 3)), sep="/")
    options = models.defaults("vit") | VIT | {"skip": False, "head_hidden_dims": []}
    described = {"model_name": "vit", "model": options}
    weight_files.write(tmp_path / "a.safetensors", arrays, described)
    assert said_of(tmp_path, model) == ["warning: trained with config.model.skip=False, here True"]


@pytest.mark.parametrize("described", [{}, {"model": [1]}, {"model": {"num_heads": [2]}}])
def test_exported_weights_of_other_making_load(described, tmp_path):
    model = models.create("vit", 5, **VIT)
    arrays = flatten_dict(fresh(model, (12, 12, 3)), sep="/")
    weight_files.write(tmp_path / "a.safetensors", arrays, described)
    assert len(said_of(tmp_path, model)) == ("num_heads" in str(described))


@pytest.mark.parametrize(
    ("case", "stage_sizes", "shape", "tiling", "said"),
    [
        ("timm_swin", (2, 1), (12, 12, 3), "transformers", None),
        ("timm_swin_padded", (2, 2), (16, 10, 3), "timm", None),
        ("timm_swin_padded", (2, 2), (16, 10, 3), "transformers", ("timm", "transformers")),
        ("transformers_swin", (2, 2), (11, 14, 3), "transformers", None),
        ("transformers_swin", (2, 2), (11, 14, 3), "timm", ("transformers", "timm")),
    ],
)
def test_a_swin_is_warned_of_where_its_library_tiles_otherwise(
    case, stage_sizes, shape, tiling, said, tmp_path
):
    model = models.create("swin", 5, **SWIN, stage_sizes=stage_sizes, tiling=tiling)
    notes = said_of(save(tmp_path, load(case)["tensors"]), model, shape)
    warning = "warning: trained with config.model.tiling={0[0]!r}, here {0[1]!r}"
    assert notes == ([] if said is None else [warning.format(said)])


@pytest.mark.parametrize(
    ("case", "known"), [("vit_pytorch_old", False), ("vit_pytorch_today", True)]
)
def test_what_vit_pytorchs_files_do_not_tell_is_said(case, known, tmp_path):
    with np.load(GOLDENS / f"{case}.npz") as file:
        tensors = unpack(file["weights"], json.loads(str(file["shapes"])))
    options = dict(head_dim=6, qkv_bias=False, mlp_dim=20, stem="linear", stem_norm=known)
    model = models.create("vit", 5, **VIT, **options)
    doubt = "the file does not tell whether the class token was read, as here, or the mean of all"
    assert said_of(save(tmp_path, tensors), model, (12, 8, 3)) == ([] if known else [doubt])


@pytest.mark.parametrize("case", ["vit_pytorch_old", "vit_pytorch_today"])
def test_vit_pytorchs_norms_and_activation_are_known(case, tmp_path):
    with np.load(GOLDENS / f"{case}.npz") as file:
        tensors = unpack(file["weights"], json.loads(str(file["shapes"])))
    options = dict(head_dim=6, qkv_bias=False, mlp_dim=20, stem="linear", activation="relu")
    options |= {"stem_norm": case == "vit_pytorch_today", "norm_epsilon": 1e-6}
    said = said_of(save(tmp_path, tensors), models.create("vit", 5, **VIT, **options), (12, 8, 3))
    assert [line for line in said if "warning" in line] == [
        "warning: trained with config.model.activation='gelu', here 'relu'",
        "warning: trained with config.model.norm_epsilon=1e-05, here 1e-06",
    ]
