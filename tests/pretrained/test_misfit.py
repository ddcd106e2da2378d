"""Which weights do not fit a model, and how that is said."""

import re

import numpy as np
import pytest
from golden import convert, load
from small_networks import LINFORMER, SWIN, VIT, linformer, vit

from vitjax import models
from vitjax.errors import UserError
from vitjax.pretrained.origins import to_ours


@pytest.mark.parametrize(
    ("tensors", "stem", "message"),
    [
        ({"patch_embed.proj.bias": None}, "conv", "stem/bias: not in the file, "),
        ({"patch_embed.proj.bias": None}, "linear", "stem/embedding/bias: not in the file, "),
        (
            {"patch_embed.proj.weight": np.zeros((64, 3, 2, 2), np.float32)},
            "linear",
            r"stem/embedding/kernel: \(2, 2, 3, 64\) in the file, \(48, 16\) in the model",
        ),
        (
            {"patch_embed.proj.weight": np.zeros((16, 3, 2, 8), np.float32)},
            "linear",
            r"stem/embedding/kernel: \(2, 8, 3, 16\) in the file, \(48, 16\) in the model",
        ),
    ],
)
def test_a_stem_that_lacks_an_array_or_has_another_shape_is_a_misfit(tensors, stem, message):
    changed = load("timm_vit")["tensors"] | tensors
    with pytest.raises(UserError, match=message):
        vit({name: x for name, x in changed.items() if x is not None}, stem=stem)


@pytest.mark.parametrize(
    "shape", [(0, 17, 16), (1, 0, 16), (2, 5, 16), (2, 7, 16), (1, 5, 8), (16,), ()]
)
def test_positions_of_no_image_are_a_misfit(shape):
    tensors = load("timm_vit")["tensors"] | {"pos_embed": np.ones(shape, np.float32)}
    with pytest.raises(UserError, match=r"position_embedding: .* in the file, .* in the model"):
        vit(tensors)


@pytest.mark.parametrize("shape", [(0, 2), (25, 0), (24, 2), (25, 3), (1, 25, 2), (25,), ()])
def test_biases_of_no_window_are_a_misfit(shape):
    tensors = load("timm_swin")["tensors"]
    tensors["layers.0.blocks.1.attn.relative_position_bias_table"] = np.ones(shape, np.float32)
    model = models.create("swin", 5, **SWIN | {"window_size": 4})
    with pytest.raises(UserError, match=r"block_1/mixer/relative_position_bias: .* in the file"):
        convert(tensors, model, (16, 16, 3))


@pytest.mark.parametrize("shape", [(0, 3), (7, 0), (4, 3), (5, 4), (1, 5, 3), (5,), ()])
def test_length_projections_of_no_image_are_a_misfit(shape):
    tensors = linformer()
    tensors["transformer.net.layers.1.0.fn.proj_k"] = np.ones(shape, np.float32)
    model = models.create("linformer", 5, **LINFORMER)
    with pytest.raises(UserError, match=r"block_1/mixer/key_projection: .* in the file"):
        convert(tensors, model, (16, 16, 3))


def hugging_face_vit(**changes):
    """Converts a ViT of Hugging Face with other arrays in its first layer's attention."""
    attention = "vit.encoder.layer.0.attention.attention."
    tensors = load("transformers_vit")["tensors"]
    tensors |= {f"{attention}{name}.weight": array for name, array in changes.items()}
    tensors = {name: array for name, array in tensors.items() if array is not None}
    return convert(tensors, models.create("vit", 5, **VIT | {"mlp_dim": 20}), (12, 8, 3))


@pytest.mark.parametrize("shape", [(16, 7), (7, 16), (16,), ()])
def test_queries_keys_and_values_of_other_shapes_are_a_misfit(shape):
    name = rf"layer\.0\.attention\.attention\.key\.weight:? {re.escape(str(shape))}"
    with pytest.raises(UserError, match=f"the golden file does not fit the model in .*{name}"):
        hugging_face_vit(key=np.ones(shape, np.float32))


def test_what_does_not_join_is_listed_with_all_other_misfits():
    values = np.ones((8, 16), np.float32)
    message = r"in 2 array\(s\): .*\.value\.weight \(8, 16\) in the file, expected .*; .*\.stray\."
    with pytest.raises(UserError, match=message):
        hugging_face_vit(value=values, stray=values)


@pytest.mark.parametrize(
    ("missing", "found"), [(["key"], "query + value"), (["key", "value"], "query")]
)
def test_of_missing_parts_what_was_found_is_named(missing, found):
    attention = "vit.encoder.layer.0.attention.attention."
    parts = " + ".join(f"{attention}{name}.weight (16, 16)" for name in found.split(" + "))
    shape = rf"\(16, {16 * (3 - len(missing))}\)"
    message = rf"block_0/mixer/qkv/kernel: {shape} in the file, of {re.escape(parts)}, \(16, 48\)"
    with pytest.raises(UserError, match=message):
        hugging_face_vit(**dict.fromkeys(missing))


def test_all_misfits_are_listed_at_once_with_both_sides():
    tensors = load("timm_vit")["tensors"]
    del tensors["norm.weight"]
    tensors["blocks.1.ls1.gamma"] = np.ones(16, np.float32)
    with pytest.raises(UserError, match="does not fit") as error:
        vit(tensors, patch_size=2, num_layers=1, mlp_dim=32, image_shape=(6, 4, 3))
    text = str(error.value)
    assert "\n" not in text
    for line in (
        "final_norm/scale: not in the file, (16,) in the model",
        "stem/kernel: (4, 4, 3, 16) in the file, (2, 2, 3, 16) in the model",
        "encoder/block_0/mlp/in/kernel: (16, 64) in the file, (16, 32) in the model",
        "blocks.1.attn.qkv.weight: (16, 48) in the file, no encoder/block_1/mixer/qkv/kernel",
        "blocks.1.ls1.gamma: (16,) in the file, of no known meaning",
        "stem/kernel depends on config.model.patch_size and config.data.channels",
    ):
        assert line in text


def test_of_many_misfits_the_first_of_each_kind_are_shown():
    with pytest.raises(UserError, match=r"in 328 array\(s\): .*; and 41 more such; ") as error:
        convert(load("timm_swin")["tensors"], models.create("swin_b", 5), (224, 224, 3))
    assert len(str(error.value)) < 1000


def test_long_names_are_cut():
    tensors = load("timm_vit")["tensors"] | {"x" * 5000: np.ones(3, np.float32)}
    with pytest.raises(UserError, match=r"xx\.\.\.xx.*: \(3,\) in the file, of no known") as error:
        vit(tensors)
    assert len(str(error.value)) < 500
    with pytest.raises(UserError, match=r"is of no known origin: .*xx\.\.\.xx") as error:
        to_ours({"x" * 5000: np.zeros(1)}, "ViT", "FILE")
    assert len(str(error.value)) < 700


@pytest.mark.parametrize("num_classes", [5, 3])
def test_a_head_without_its_kernel_is_a_misfit(num_classes):
    tensors = load("timm_vit")["tensors"]
    del tensors["head.weight"]
    with pytest.raises(UserError, match="head/logits/kernel: not in the file, "):
        vit(tensors, num_classes=num_classes)


@pytest.mark.parametrize("name", ["query", "out"])
def test_googles_attention_without_a_width_is_a_misfit(name):
    attention = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1"
    tensors = {f"{attention}/{name}/kernel": np.zeros((0, 2, 0), np.float32)}
    with pytest.raises(UserError, match=r"block_0/mixer/\w+/kernel: \(0, 0\) in the file"):
        convert(tensors, models.create("vit", 5, **VIT), (12, 8, 3))


def test_misfits_that_differ_in_the_layer_alone_are_one_line():
    with pytest.raises(UserError, match=r"block_\*/mlp/in/bias: \(64,\) .* model \(2 such\);"):
        vit(mlp_dim=32)


def test_another_head_for_the_same_classes_is_a_misfit():
    with pytest.raises(UserError, match=r"head/hidden_0/kernel: not in the file, \(16, 8\)"):
        vit(head_hidden_dims=(8,))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(value):
    tensors = load("timm_vit")["tensors"]
    tensors["blocks.0.attn.proj.bias"][3] = value
    with pytest.raises(UserError, match=r"NaN or infinity in .*/block_0/mixer/out/bias$"):
        vit(tensors)


@pytest.mark.parametrize("dtype", [np.int8, np.bool_, np.complex64, np.str_])
def test_arrays_of_no_floating_point_numbers_are_refused(dtype):
    tensors = load("timm_vit")["tensors"]
    tensors["norm.bias"] = tensors["norm.bias"].astype(dtype)
    with pytest.raises(UserError, match=r"no floating-point number in final_norm/bias: [<a-z]"):
        vit(tensors)


def test_another_architecture_is_named():
    model = models.create("resnet18", 5)
    with pytest.raises(UserError, match=r"is timm's ViT, for the model ViT, and .* a ResNet"):
        convert(load("timm_vit")["tensors"], model, (12, 8, 3))


@pytest.mark.parametrize("names", [[], ["a", "b.weight"]])
def test_unknown_names_are_shown(names):
    with pytest.raises(UserError, match=r"is of no known origin: it has \d arrays.*Google's ViT"):
        to_ours({name: np.zeros(1) for name in names}, "ViT", "FILE")
