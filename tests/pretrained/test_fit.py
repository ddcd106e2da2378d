"""What changes when weights meet a model of another size."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from golden import GOLDENS, convert, fresh, load, unpack
from small_networks import LINFORMER, SWIN, VIT, linformer, vit

from vitjax import models
from vitjax.errors import UserError
from vitjax.pretrained import resize
from vitjax.pretrained.convert import Converted
from vitjax.pretrained.fit import fit
from vitjax.pretrained.origins import to_ours


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
