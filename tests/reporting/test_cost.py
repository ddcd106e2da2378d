"""Costs of parts against the closed form."""

import pytest
from facts import SIZES

from vitjax import models
from vitjax.models.macs import layer_macs
from vitjax.reporting.cost import costs

IMAGE = (28, 28, 1)
TOKEN_MIXER = {"vit": "attention", "linformer": "linformer attention", "mixer": "token mlp"}


@pytest.mark.parametrize("name", TOKEN_MIXER)
def test_parts_are_those_of_the_closed_form(name):
    model = models.create(name, 10, num_layers=3, head_hidden_dims=(20,))
    params = models.abstract_params(model, IMAGE)
    parts = {c.part: c for c in costs(params, models.macs_by_module(model, IMAGE))}
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
    parts = {c.part: c for c in costs(params, models.macs_by_module(model, (8, 8, 3)))}
    # Four tokens of 8 side by side become one of 16, on a grid of 2x2; a norm goes before.
    assert parts["stage_1/merging"][1:] == (32 * 16 + 2 * 32, 4 * 32 * 16)
    assert "stage_1" not in parts
