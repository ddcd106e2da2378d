"""Which parameters learn, how fast, and where they come from."""

import commands
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny import CLASSES, MESH, SEED, data, recipe

from vitjax.config import debug, default
from vitjax.errors import UserError
from vitjax.models import abstract_params, create
from vitjax.training import finetune
from vitjax.training.loop import train_and_evaluate
from vitjax.training.step import Programs, evaluate, train_step

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
    assert finetune.merge(stay, learn) == PARAMS


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
    model = create("vit", 10, num_layers=2, patch_size=4)
    factors = finetune.rate_factors(abstract_params(model, (8, 8, 1)), 0.5, 10.0)
    assert factors["head"]["logits"]["kernel"] == 10
    assert factors["final_norm"]["scale"] == 1
    assert factors["encoder"]["block_1"]["mlp"]["in"]["bias"] == 0.5
    assert factors["encoder"]["block_0"]["mixer"]["qkv"]["kernel"] == 0.25
    assert factors["stem"]["kernel"] == factors["class_token"] == 0.125


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
    return programs, state, train_step(programs.recipe, MESH, SEED, data(8), order, state)[0]


@pytest.mark.parametrize("parts", [1, 2])
def test_the_models_state_moves_and_is_used(parts):
    programs, state, new = one_step(accumulation_steps=parts)
    pixels = (np.asarray(data(8).images).reshape(8, -1) / 255 - 0.5) / 0.25
    order = np.asarray(programs.epoch_order(SEED, np.int32(0)).indices[0])
    mean = np.zeros(4)
    for part in range(parts):
        mean = 0.9 * mean + 0.1 * pixels[order[part::parts]].mean(0)
    moved = new.model_state["batch_stats"]["norm"]["mean"]
    np.testing.assert_allclose(moved, mean, atol=1e-6)
    before = evaluate(programs.recipe, MESH, state.variables, data(8)).compute()["loss"]
    mixed = {**state.variables, "batch_stats": new.model_state["batch_stats"]}
    assert evaluate(programs.recipe, MESH, mixed, data(8)).compute()["loss"] != before


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


def halves(source, variables, model, inputs, say):
    """Weights that are 0.5 everywhere."""
    say(f"{source} for {type(model).__name__} on {inputs.shape}, normalised by {inputs.mean}")
    return jax.tree.map(lambda x: jnp.full_like(x, 0.5), variables)


def test_a_run_begins_with_the_weights_it_is_given(tmp_path):
    said = []
    config = debug_config(weights="somewhere", train_only="head")
    config.data.update(mean=(0.25,), std=(0.5,))
    result = train_and_evaluate(config, tmp_path / "run", said.append, halves)
    assert "somewhere for ViT on (8, 8, 1), normalised by (0.25,)" in said
    params = commands.newest_params(tmp_path / "run")
    assert (params["encoder"]["block_0"]["mlp"]["in"]["kernel"] == 0.5).all()
    assert not (params["head"]["logits"]["kernel"] == 0.5).all()
    assert result["num_trained_params"] == 16 * 10 + 10


def test_weights_are_not_asked_for_again_on_resume(tmp_path):
    config = debug_config(weights="somewhere")
    train_and_evaluate(config, tmp_path, lambda _: None, halves)
    (tmp_path / "eval.json").unlink()
    train_and_evaluate(config, tmp_path, lambda _: None, None)
    assert (tmp_path / "eval.json").exists()


def test_weights_that_nobody_loads_leave_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"finetune\.weights='x' needs someone to load it"):
        train_and_evaluate(debug_config(weights="x"), tmp_path / "run", lambda _: None)
    assert not (tmp_path / "run").exists()


def test_images_are_enlarged_on_the_device(tmp_path):
    config = debug_config()
    config.data.input_size = 16
    train_and_evaluate(config, tmp_path, lambda _: None)
    assert commands.newest_params(tmp_path)["position_embedding"].shape == (1, 5, 16)
