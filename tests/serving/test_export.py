"""Exports compute, in other programs, what the model computes."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from commands import main

import vitjax
from vitjax import models
from vitjax.config import default
from vitjax.inference.predictor import Predictor
from vitjax.serving import exporting, onnx_file, stablehlo

STAGES = dict(stage_sizes=(2, 2), patch_size=2, hidden_dim=8, num_heads=(2, 4))
SMALL = dict(patch_size=4, hidden_dim=8, num_layers=2)
MODELS = {  # name of a case: model, its options
    "vit": ("vit", SMALL | {"num_heads": 2, "mlp_dim": 12}),
    "vit_otherwise": ("vit", SMALL | dict(
        num_heads=2, stem="linear", stem_norm=True, pool="mean", position_embedding="sincos",
        norm="post", activation="gelu_tanh", remat=True, head_hidden_dims=(4,), skip=False,
        head_activation="tanh", head_activate_logits=True,
    )),
    "mixer": ("mixer", SMALL | {"activation": "relu"}),
    "linformer": ("linformer", SMALL | {"num_heads": 2, "k_dim": 3, "share_kv": True}),
    "resnet": ("resnet", dict(stage_sizes=(1, 1), width=4)),
    "resnet_bottleneck": ("resnet", dict(stage_sizes=(1, 1), width=4, block="bottleneck")),
    "swin": ("swin", STAGES | {"window_size": 4}),
    "swin_padded": ("swin", STAGES | {"window_size": 3, "tiling": "timm"}),
}  # fmt: skip


def quiet(text):
    del text


def untrained(case, **options):
    """A run's model with numbers from nowhere; images of 12x8 pixels become 16x16."""
    name, own = MODELS[case]
    config = default(name)
    config.model.update(own)
    config.model.update(options)
    config.data.input_size = 16
    model = models.create(name, 5, **config.model)
    random = np.random.RandomState(0)
    variables = jax.tree.map(
        lambda x: (
            random.uniform(0.05, 0.5, x.shape).astype(np.float32)
            * random.choice([1, -1], x.shape if x.ndim > 1 else ()).astype(np.float32)
        ),
        models.abstract_variables(model, (16, 16, 3)),
    )
    if "batch_stats" in variables:  # variances are positive
        variables["batch_stats"] = jax.tree.map(np.abs, variables["batch_stats"])
    names = ("cat", "dog", "eel", "fox", "gnu")
    picture = dict(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), image_shape=(12, 8, 3))
    return Predictor(model, variables, names, **picture, config=config, step=7, workdir="run")


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_computations(form, case, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    else:
        pytest.importorskip("flatbuffers")
    predictor = untrained(case)
    export = exporting.export(predictor, tmp_path / f"model.{form}", form, quiet)
    assert export.difference <= 1e-5
    compute = {"onnx": onnx_file, "stablehlo": stablehlo}[form].compute
    images = np.random.RandomState(1).randint(0, 256, (4, 12, 8, 3)).astype(np.uint8)
    found = compute(export.path, images)
    expected = predictor.predict(images)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-4)
