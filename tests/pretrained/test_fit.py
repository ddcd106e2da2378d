"""What changes when weights meet a model of another size, and what does not fit."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from golden import GOLDENS, convert, fresh, load, unpack

from vitjax import models
from vitjax.errors import UserError
from vitjax.pretrained import resize
from vitjax.pretrained.convert import Converted
from vitjax.pretrained.fit import fit
from vitjax.pretrained.origins import to_ours

VIT = dict(patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=64)
LINFORMER = dict(
    patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, head_dim=6, k_dim=3, mlp_dim=64,
    stem="linear",
)  # fmt: skip

SWIN = dict(
    patch_size=2, hidden_dim=8, stage_sizes=(2, 1), num_heads=(2, 4), window_size=3, mlp_ratio=2
)


def linformer():
    """The arrays of a vit-pytorch with linformer as its transformer, of 2 x 2 patches."""
    with np.load(GOLDENS / "linformer.npz") as file:
        return unpack(file["weights"], json.loads(str(file["shapes"])))


def vit(tensors=None, image_shape=(12, 8, 3), num_classes=5, **changes):
    """timm's small ViT in a model of ours: (variables, notes)."""
    tensors = load("timm_vit")["tensors"] if tensors is None else tensors
    return convert(tensors, models.create("vit", num_classes, **VIT | changes), image_shape)


def square(tensors):
    """The same weights as of square images: with positions of 4 patches."""
    return tensors | {"pos_embed": tensors["pos_embed"][:, :5]}


@pytest.mark.parametrize("grid", [(7, 6), (2, 3)])
def test_positions_are_resized_as_timm_does(grid):
    golden = load("timm_positions")
    resized = resize.position_embedding(golden["positions"], (4, 4), grid, num_others=1)
    np.testing.assert_allclose(resized, golden["{}x{}".format(*grid)], atol=2e-5)


def test_another_image_size_resizes_positions():
    tensors = square(load("timm_vit")["tensors"])
    variables, notes = vit(tensors, (16, 12, 3))
    positions = variables["params"]["position_embedding"]
    assert positions.shape == (1, 1 + 4 * 3, 16)
    np.testing.assert_array_equal(positions[0, 0], tensors["pos_embed"][0, 0])
    assert notes == ["resized position_embedding of 1 + 2x2 tokens to 4x3"]


def positions(num_rows):
    """The small ViT of timm with as many positions."""
    table = np.random.RandomState(0).randn(1, num_rows, 16).astype(np.float32)
    return load("timm_vit")["tensors"] | {"pos_embed": table}


def test_positions_of_a_grid_that_is_known_are_resized_to_one_of_as_many_tokens():
    model, tensors = models.create("vit", 5, **VIT), positions(1 + 16)
    variables, notes = convert(tensors, model, (8, 32, 3), trained_on=(16, 16))
    expected = resize.position_embedding(tensors["pos_embed"], (4, 4), (2, 8), num_others=1)
    np.testing.assert_array_equal(variables["params"]["position_embedding"], expected)
    assert notes == ["resized position_embedding of 1 + 4x4 tokens to 2x8"]
    _, notes = convert(tensors, model, (8, 32, 3), trained_on=(8, 32))
    assert notes == []


def test_positions_of_a_grid_that_is_not_square_are_resized_where_it_is_known():
    model = models.create("vit", 5, **VIT)
    _, notes = convert(positions(1 + 10), model, (16, 16, 3), trained_on=(8, 20))
    assert notes == ["resized position_embedding of 1 + 2x5 tokens to 4x4"]


def test_what_positions_are_taken_for_is_said():
    tensors = positions(1 + 16)
    variables, notes = vit(tensors, (8, 32, 3))
    np.testing.assert_array_equal(variables["params"]["position_embedding"], tensors["pos_embed"])
    assert notes == ["position_embedding is taken to be of 2x8 tokens, as here, not of 4x4"]
    _, notes = vit(positions(10), (8, 20, 3))  # of 2x5 tokens without the class token, or of these
    assert notes == ["resized position_embedding of 1 + 3x3 tokens to 2x5"]


def test_a_length_projection_keeps_the_projected_values_of_constant_tokens():
    table = np.random.RandomState(0).randn(1 + 9, 5).astype(np.float32)
    resized = resize.length_projection(table, (3, 3), (6, 6), num_others=1)
    assert resized.shape == (37, 5)
    np.testing.assert_array_equal(resized[0], table[0])
    np.testing.assert_allclose(resized[1:].sum(0), table[1:].sum(0), rtol=0.2, atol=0.5)
    constant = resize.length_projection(np.ones((9, 2), np.float32), (3, 3), (6, 6), 0)
    np.testing.assert_allclose(constant.sum(0), 9, rtol=1e-5)


def test_linformers_projections_follow_the_image():
    model = models.create("linformer", 5, **LINFORMER)
    variables, notes = convert(linformer(), model, (16, 16, 3))
    block = variables["params"]["encoder"]["block_1"]["mixer"]
    assert block["key_projection"].shape == block["value_projection"].shape == (17, 3)
    assert "resized encoder/block_*/mixer/key_projection of 1 + 2x2 tokens to 4x4 (2 such)" in notes


def test_rows_of_a_linformer_beyond_its_tokens_were_never_read():
    tensors, longer = linformer(), linformer()
    for name, array in tensors.items():
        if "proj_" in name:
            longer[name] = np.concatenate([array, np.ones((12, 3), np.float32)])
    model = models.create("linformer", 5, **LINFORMER)
    expected, _ = convert(tensors, model, (8, 8, 3))
    variables, notes = convert(longer, model, (8, 8, 3))
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    cut = ["transformer.net.layers.*.*.fn.proj_k[5:]", "transformer.net.layers.*.*.fn.proj_v[5:]"]
    assert [f"{name} (2 such)" in notes[0] for name in cut] == [True, True]


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_registers_keep_their_rows_of_a_projection_for_another_image(pool):
    model = models.create("linformer", 5, **LINFORMER, pool=pool, num_registers=3)
    arrays = flatten_dict(fresh(model, (8, 8, 3)), sep="/")
    others, path = 3 + (pool == "cls"), "params/encoder/block_0/mixer/key_projection"
    arrays[path] = np.float32(np.random.RandomState(0).randn(others + 4, 3))
    converted = Converted(arrays, {}, {}, [], {})
    variables, _ = fit(converted, fresh(model, (16, 16, 3)), model, (16, 16, 3), "ours")
    fitted = flatten_dict(variables, sep="/")[path]
    assert fitted.shape == (others + 16, 3)
    np.testing.assert_array_equal(fitted[:others], arrays[path][:others])


def test_another_window_resizes_relative_positions():
    model = models.create("swin", 5, **SWIN | {"window_size": 4})
    tensors = load("timm_swin")["tensors"]
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    tensors[name] = np.full_like(tensors[name], 0.5)
    variables, notes = convert(tensors, model, (16, 16, 3))
    table = variables["params"]["stage_0"]["block_0"]["mixer"]["relative_position_bias"]
    np.testing.assert_allclose(table, np.full((49, 2), 0.5), rtol=1e-6)
    assert (
        "resized stage_*/block_*/mixer/relative_position_bias from (25, 2) to (49, 2)" in notes[0]
    )


@pytest.mark.parametrize(
    ("side", "window", "done", "kept"),
    [
        (7, (2, 3), "centred", 7),  # for more offsets than the windows have, fewer than the model
        (7, (4, 4), "centred", 7),
        (7, (5, 5), "resized", 9),
        (7, (7, 7), "resized", 13),
        (15, (4, 4), "cut", 13),
    ],
)
def test_a_bias_keeps_its_offset_in_a_table_of_13(side, window, done, kept):
    table = np.random.RandomState(0).randn(side, side, 1).astype(np.float32)
    text, found = resize.relative_positions(table.reshape(-1, 1), 13**2, window)
    assert text.startswith(done)
    edge, spare = (13 - kept) // 2, (side - kept) // 2
    expected = table[spare : side - spare, spare : side - spare]
    if done == "resized":
        expected = jax.image.resize(table, (kept, kept, 1), "cubic")
    expected = np.pad(expected, [(edge, edge), (edge, edge), (0, 0)])
    np.testing.assert_allclose(found.reshape(13, 13, 1), expected, rtol=1e-6)


def test_a_smaller_window_takes_the_biases_of_its_offsets():
    tensors = load("timm_swin")["tensors"]
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    model = models.create("swin", 5, **SWIN | {"window_size": 2})
    variables, notes = convert(tensors, model, (16, 16, 3))
    table = variables["params"]["stage_0"]["block_0"]["mixer"]["relative_position_bias"]
    np.testing.assert_array_equal(table.reshape(3, 3, 2), tensors[name].reshape(5, 5, 2)[1:4, 1:4])
    note = notes[0]
    assert re.match(
        r"cut .*/relative_position_bias to the offsets of the window from \(25, 2\)", note
    )


def test_a_norm_on_the_other_side_of_the_mean_is_a_misfit():
    golden = load("timm_vit_fc_norm")["tensors"]
    options = r"_norm/scale depends on config\.model\.pool, config\.model\.final_norm and config\."
    with pytest.raises(
        UserError, match=rf"fc_norm\.weight: .* no pool_norm/scale .*final{options}"
    ):
        vit(golden, pool="mean")
    before = {name.replace("fc_norm", "norm"): x for name, x in golden.items()}
    with pytest.raises(UserError, match=rf"norm\.weight: .* no final_norm/scale .*pool{options}"):
        vit(before, pool="mean", norm_after_pool=True)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_a_norm_after_the_mean_of_patches_beside_a_class_token_is_a_misfit(pool):
    tensors = load("timm_vit")["tensors"]
    tensors = {name.replace("norm.", "fc_norm."): x for name, x in tensors.items()}
    with pytest.raises(UserError, match="does not fit the model"):
        vit(tensors, pool=pool, norm_after_pool=True)


def vit_pytorch_without_class_token(**changes):
    with np.load(GOLDENS / "vit_pytorch_mean.npz") as file:
        tensors = unpack(file["weights"], json.loads(str(file["shapes"])))
    sizes = VIT | dict(head_dim=6, qkv_bias=False, mlp_dim=20, stem="linear", stem_norm=True)
    return convert(tensors, models.create("vit", 5, **sizes | changes), (12, 8, 3))


def test_an_empty_class_token_is_none():
    variables, notes = vit_pytorch_without_class_token(pool="mean")
    assert "class_token" not in variables["params"]
    assert notes == ["left out, as it is empty: cls_token"]
    with pytest.raises(UserError, match=r"class_token: \(1, 0, 16\) in the file, \(1, 1, 16\) in"):
        vit_pytorch_without_class_token(pool="cls")


def test_a_head_for_other_classes_begins_anew():
    variables, notes = vit(num_classes=3)
    assert not variables["params"]["head"]["logits"]["kernel"].any()  # that of `fresh`
    assert notes == ["left out the head for 5 classes", "the head for 3 classes begins anew"]


def test_features_need_no_head():
    variables, notes = vit(num_classes=0)
    assert "head" not in variables["params"]
    assert notes == ["left out the head for 5 classes"]


@pytest.mark.parametrize("stem", ["conv", "linear"])
def test_either_stem_takes_the_same_weights(stem):
    images = load("timm_vit")["images"]
    conv, other = (models.create("vit", 5, **VIT, stem=s) for s in ("conv", stem))
    logits = jax.jit(other.apply)(vit(stem=stem)[0], images)
    np.testing.assert_allclose(logits, jax.jit(conv.apply)(vit()[0], images), atol=1e-5)


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


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float64])
def test_what_is_given_is_float32(dtype):
    tensors = {k: x.astype(dtype) for k, x in load("timm_vit")["tensors"].items()}
    assert {x.dtype for x in jax.tree.leaves(vit(tensors)[0])} == {np.dtype(np.float32)}


def test_nothing_of_fresh_is_changed():
    model = models.create("vit", 3, **VIT)
    _, converted = to_ours(load("timm_vit")["tensors"], "ViT", "FILE")
    given = fresh(model, (12, 8, 3))
    fit(converted, given, model, (12, 8, 3), "FILE")
    assert not any(x.any() for x in jax.tree.leaves(given))
