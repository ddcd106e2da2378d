"""Which parameters learn, how fast, and where they come from."""

import dataclasses

import commands
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from tiny import CLASSES, MESH, SEED, batches, data, recipe

from vitjax.config import debug, default
from vitjax.errors import UserError
from vitjax.models import MODELS, abstract_params, abstract_variables, create
from vitjax.pretrained import locate
from vitjax.pretrained.catalog import CATALOG
from vitjax.runs.weights import merge
from vitjax.training import finetune
from vitjax.training.run import train_and_evaluate
from vitjax.training.step import Programs, evaluate_split, train_step

PARAMS = {"stem": {"kernel": 1}, "block_0": {"bias": 2}, "head": {"logits": {"kernel": 3}}}


@pytest.mark.parametrize(
    ("train_only", "trained"),
    [
        ("", PARAMS),
        ("head", {"head": {"logits": {"kernel": 3}}}),
        ("head|.*bias", {"block_0": {"bias": 2}, "head": {"logits": {"kernel": 3}}}),
    ],
)
def test_split_by_path_and_merge(train_only, trained):
    learn, stay = finetune.split(PARAMS, train_only)
    assert learn == trained
    assert merge(stay, learn) == PARAMS


@pytest.mark.parametrize(
    ("train_only", "message"),
    [
        ("heads", r"train_only='heads' matches no parameter; .* block_0, head, stem"),
        ("(", r"train_only='\(' is no regular expression"),
    ],
)
def test_a_wrong_pattern_is_refused(train_only, message):
    with pytest.raises(UserError, match=message):
        finetune.split(PARAMS, train_only)


def test_rates_fall_with_depth():
    model = create("vit", 10, num_layers=2, patch_size=4, num_registers=2)
    factors = finetune.rate_factors(abstract_params(model, (8, 8, 1)), 0.5, 10.0)
    assert factors["head"]["logits"]["kernel"] == 10
    assert factors["final_norm"]["scale"] == 1
    assert factors["encoder"]["block_1"]["mlp"]["in"]["bias"] == 0.5
    assert factors["encoder"]["block_0"]["mixer"]["qkv"]["kernel"] == 0.25
    assert factors["stem"]["kernel"] == factors["class_token"] == 0.125
    assert factors["register_tokens"] == factors["position_embedding"] == 0.125


def test_swins_merging_learns_as_the_block_before_it():
    model = create("swin", 10, hidden_dim=8, stage_sizes=(1, 2), num_heads=(1, 2))
    factors = finetune.rate_factors(abstract_params(model, (16, 16, 1)), 0.5, 10.0)
    assert factors["stage_1"]["block_0"]["mlp"]["in"]["bias"] == 0.25
    assert factors["stage_1"]["merging"]["reduction"]["kernel"] == 0.125
    assert factors["stage_0"]["block_0"]["mlp"]["in"]["bias"] == 0.125
    assert factors["stem"]["kernel"] == 0.0625


def test_resnets_shortcut_learns_as_its_block():
    model = create("resnet", 10, width=4, stage_sizes=(1, 1))
    factors = finetune.rate_factors(abstract_params(model, (16, 16, 1)), 0.5, 10.0)
    assert factors["stage_1"]["block_0"]["shortcut"]["norm"]["scale"] == 0.5
    assert factors["stage_0"]["block_0"]["conv_0"]["kernel"] == 0.25
    assert factors["stem"]["norm"]["scale"] == 0.125


def test_vggs_convolutions_and_hidden_layers_are_blocks():
    model = create("vgg", 10, width=4, stage_sizes=(1, 2), hidden_dims=(6, 6))
    factors = finetune.rate_factors(abstract_params(model, (16, 16, 1)), 0.5, 10.0)
    assert factors["hidden_1"]["kernel"] == 0.5
    assert factors["hidden_0"]["bias"] == 0.25
    assert factors["stage_1"]["conv_1"]["norm"]["scale"] == 0.125
    assert factors["stage_0"]["conv_0"]["kernel"] == 0.03125


def paths_in_order(model, image_shape):
    """The parameters' paths, in the order in which the model first computes with them."""
    paths = []

    def trace():
        variables = model.init(jax.random.key(0), jnp.zeros((1, *image_shape)))
        paths.extend(flatten_dict(variables["params"], sep="/"))

    jax.eval_shape(trace)
    return paths


@pytest.mark.parametrize("name", MODELS)
def test_no_layer_learns_faster_than_one_after_it(name):
    model, shape = create(name, 10), (32, 32, 3)
    factors = finetune.rate_factors(abstract_params(model, shape), 0.5, 10.0)
    flat = flatten_dict(factors, sep="/")
    in_order = [flat[path] for path in paths_in_order(model, shape)]
    assert in_order == sorted(in_order)
    assert {path.split("/")[0] for path, factor in flat.items() if factor >= 1} <= {
        "final_norm",
        "head",
    }


class Normed(nn.Module):
    """Pixels, standardised by batch statistics, times a kernel."""

    @nn.compact
    def __call__(self, images, *, train=False):
        x = images.reshape(len(images), -1)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, name="norm")(x)
        return nn.Dense(CLASSES, name="head")(x)


def one_step(**changes):
    """A training step of `Normed` on eight examples: (programs, state before, after)."""
    programs = Programs(recipe(Normed(), num_examples=8, **changes), MESH)
    state = programs.init(SEED)
    order = programs.epoch_order(SEED, np.int32(0))
    return programs, state, train_step(programs.recipe, MESH, SEED, batches(order, 8), state)[0]


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
def test_the_models_state_moves_and_is_used(parts):
    programs, state, new = one_step(accumulation_steps=parts)
    pixels = (np.asarray(data(8).take(np.arange(8)).images()).reshape(8, -1) / 255 - 0.5) / 0.25
    order = np.asarray(programs.epoch_order(SEED, np.int32(0)).indices[0])
    mean = np.zeros(4)
    for part in range(parts):
        mean = 0.9 * mean + 0.1 * pixels[order[part::parts]].mean(0)
    moved = new.model_state["batch_stats"]["norm"]["mean"]
    np.testing.assert_allclose(moved, mean, atol=1e-6)
    before = evaluate_split(programs.recipe, MESH, state.variables, data(8)).compute()["loss"]
    mixed = {**state.variables, "batch_stats": new.model_state["batch_stats"]}
    assert evaluate_split(programs.recipe, MESH, mixed, data(8)).compute()["loss"] != before


def test_frozen_parameters_stay_and_have_no_optimiser_state():
    _, state, new = one_step(train_only="head", tx=optax.adam(0.1), ema_decay=0.5)
    jax.tree.map(np.testing.assert_array_equal, new.params["norm"], state.params["norm"])
    assert not np.array_equal(new.params["head"]["kernel"], state.params["head"]["kernel"])
    assert set(new.opt_state[0].mu) == set(new.ema_params) == {"head"}
    assert set(new.variables["params"]) == {"norm", "head"}


def debug_config(**finetuning):
    config = debug(default("vit"))
    config.model.update(patch_size=8, hidden_dim=16, mlp_dim=16)
    config.finetune.update(**finetuning)
    return config


@pytest.fixture
def halves(tmp_path):
    """A file of weights for that model, all of them 0.5."""
    model = create("vit", 10, **debug_config().model)
    flat = flatten_dict(abstract_variables(model, (8, 8, 1)), sep="/")
    np.savez(tmp_path / "halves.npz", **{k: np.full(x.shape, 0.5, "f") for k, x in flat.items()})
    return tmp_path / "halves.npz"


@pytest.mark.slow
def test_a_run_begins_with_the_weights_it_is_given(halves, tmp_path):
    said = []
    config = debug_config(weights=str(halves), train_only="head")
    result = train_and_evaluate(config, tmp_path / "run", said.append)
    assert f"weights   {halves}: 32 arrays of vitjax" in said
    params = commands.newest_params(tmp_path / "run")
    assert (params["encoder"]["block_0"]["mlp"]["in"]["kernel"] == 0.5).all()
    assert not (params["head"]["logits"]["kernel"] == 0.5).all()
    assert result["num_trained_params"] == 16 * 10 + 10


@pytest.mark.slow
def test_a_run_says_where_its_images_are_not_those_of_the_weights(halves, tmp_path, monkeypatch):
    entry = dataclasses.replace(CATALOG["vit_ti_augreg"], mean=(0.5,), std=(0.5,))
    monkeypatch.setitem(CATALOG, "vit_ti_augreg", entry)
    monkeypatch.setattr(locate, "fetch", lambda repo, file: halves)
    said = []
    config = debug_config(weights="vit_ti_augreg")
    config.data.update(mean=(0.25,), std=(0.5,))
    train_and_evaluate(config, tmp_path / "run", said.append)
    notes = [line.strip() for line in said]
    assert "warning: trained with config.data.mean=(0.5,), here (0.25,)" in notes
    assert "trained on images of 224 pixels, here 8x8" in notes
    assert not any("config.data.std" in line for line in notes)


@pytest.mark.slow
def test_weights_are_not_asked_for_again_on_resume(halves, tmp_path):
    config = debug_config(weights=str(halves))
    train_and_evaluate(config, tmp_path / "run", lambda _: None)
    (tmp_path / "run" / "eval.json").unlink()
    halves.unlink()
    train_and_evaluate(config, tmp_path / "run", lambda _: None)
    assert (tmp_path / "run" / "eval.json").exists()


def test_weights_that_are_not_found_leave_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"finetune\.weights='x' is neither a file, nor a folder"):
        train_and_evaluate(debug_config(weights="x"), tmp_path / "run", lambda _: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_images_are_enlarged_on_the_device(tmp_path):
    config = debug_config()
    config.data.input_size = 16
    train_and_evaluate(config, tmp_path, lambda _: None)
    assert commands.newest_params(tmp_path)["position_embedding"].shape == (1, 5, 16)
