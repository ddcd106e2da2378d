"""Costs of parts against the closed form, and over tokens from points made up."""

import pytest
from commands import main
from made_up import SIZES

from vitjax import models
from vitjax.models.macs import layer_macs
from vitjax.reporting.cost import part_costs, scaling_picture
from vitjax.reporting.drawing import svg

IMAGE = (28, 28, 1)
TOKEN_MIXER = {"vit": "attention", "linformer": "linformer attention", "mixer": "token mlp"}


@pytest.mark.parametrize("name", TOKEN_MIXER)
def test_parts_are_those_of_the_closed_form(name):
    model = models.create(name, 10, num_layers=3, head_hidden_dims=(20,))
    params = models.abstract_params(model, IMAGE)
    parts = {c.part: c for c in part_costs(params, models.macs_by_module(model, IMAGE))}
    closed = layer_macs(model, IMAGE)
    names = {"stem": "stem", "mlp": "encoder/block_*/mlp", "head": "head"}
    names[TOKEN_MIXER[name]] = "encoder/block_*/mixer"
    assert {kind: parts[part].num_macs for kind, part in names.items()} == closed
    assert sum(c.num_params for c in parts.values()) == models.num_params(params)
    assert parts["final_norm"][1:] == (256, 0)
    assert parts["encoder/block_*/mlp_norm"][1:] == (3 * 256, 0)


def test_swin_parts_between_blocks_are_named():
    model = models.create("swin", 3, **SIZES["swin"])
    params = models.abstract_params(model, (8, 8, 3))
    parts = {c.part: c for c in part_costs(params, models.macs_by_module(model, (8, 8, 3)))}
    # Four tokens of 8 side by side become one of 16, on a grid of 2x2; a norm goes before.
    assert parts["stage_1/merging"][1:] == (32 * 16 + 2 * 32, 4 * 32 * 16)
    assert "stage_1" not in parts


def point(tokens, vit, linformer):
    """A point of the suite's JSON, from step times in seconds."""

    def of(seconds):
        times = {"low": seconds / 2, "median": seconds, "high": 2 * seconds}
        return {"step_seconds": times, "peak_bytes": {"predicted": tokens * 2**20}}

    return {"tokens": tokens, "batch_size": 3, "vit": of(vit), "linformer": of(linformer)}


def test_the_text_of_scaling_gives_both_ends():
    picture = scaling_picture([point(65, 1, 2), point(257, 3, 2), point(1025, 9, 3)], "abacus")
    assert "at 65 tokens ViT's step takes 0.50 times Linformer's" in picture.alt
    assert "at 1,025 tokens ViT's step takes 3.00 times Linformer's" in picture.alt
    assert "257" not in picture.alt


def test_the_figure_of_scaling_names_tokens_batch_and_hardware():
    drawing = svg(scaling_picture([point(1025, 1, 2)], "abacus").figure, "a")
    assert drawing.count(">1,025<") == 2
    assert "batch 3 on abacus" in drawing


def test_the_seeds_suite_has_no_such_figure(tmp_path):
    _, error = main(f"--plot={tmp_path / 'a.png'}", module="vitjax.benchmark", code=1)
    assert error == "error: --plot is for --suite=attention; --suite=seeds was given\n"
