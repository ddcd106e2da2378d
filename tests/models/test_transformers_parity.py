"""The networks of published weights compute what Hugging Face's do, block by block.

tests/goldens/make_transformers_goldens.py wrote the files, under vitjax's names.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from vitjax import models

GOLDENS = Path(__file__).parents[1] / "goldens"
TOLERANCE = 1e-5  # of the largest value
NOISE = 2e-7  # for what is 0 but for rounding

RESNET = dict(width=4, stage_sizes=(2, 2))
CASES = {  # golden file: (model, its options)
    "transformers_vit": ("vit", dict(
        patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=20, norm_epsilon=1e-12,
    )),
    "transformers_swin": ("swin", dict(
        patch_size=2, hidden_dim=8, stage_sizes=(2, 2), num_heads=(2, 4), window_size=3,
        mlp_ratio=2,
    )),
    "transformers_resnet": ("resnet", RESNET),
    "transformers_resnet_bottleneck": (
        "resnet", RESNET | {"stage_sizes": (1, 2), "block": "bottleneck"}
    ),
}  # fmt: skip
WITH_STATISTICS = [case for case, (name, _) in CASES.items() if name == "resnet"]


def load(case):
    """Returns a file's arrays; those that it packs as dicts by path."""
    with np.load(GOLDENS / f"{case}.npz") as file:
        golden = dict(file)
    for kind in [key.removesuffix("_shapes") for key in golden if key.endswith("_shapes")]:
        shapes = json.loads(str(golden.pop(f"{kind}_shapes")))
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
        pieces = np.split(golden[f"{kind}s"], ends[:-1])
        golden[f"{kind}s"] = {
            name: piece.reshape(shape)
            for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
        }
    return golden


def network(case, golden, **options):
    """Returns the model and its variables; their paths and shapes are all the model's."""
    name, common = CASES[case]
    model = models.create(name, 5, **common, **options)
    variables = {"params": unflatten_dict(golden["params"], sep="/")}
    if "statistics" in golden:
        variables["batch_stats"] = unflatten_dict(golden["statistics"], sep="/")
    expected = models.abstract_variables(model, golden["images"].shape[1:])
    assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, expected)
    return model, variables


def compute(model, variables, golden, train=False):
    """Returns logits, what flax collected, and the gradients (parameters, images) of the loss."""

    def loss(params, images):
        logits, collected = model.apply(
            variables | {"params": params},
            images,
            train=train,
            mutable=["batch_stats"] if train else [],
            capture_intermediates=lambda module, _: "block_" in str(module.name),
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, golden["labels"])
        return jnp.mean(losses), (logits, collected)

    with jax.default_matmul_precision("float32"):
        function = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        gradients, (logits, collected) = function(variables["params"], golden["images"])
    return logits, collected, gradients


def assert_near(got, expected, name=""):
    limit = TOLERANCE * np.abs(expected).max() + NOISE
    np.testing.assert_allclose(got, expected, rtol=0, atol=limit, err_msg=name)


def assert_all_near(got, expected):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert_near(got[name], value, name)


@pytest.mark.parametrize("case", CASES)
def test_blocks_logits_and_gradients(case):
    golden = load(case)
    logits, collected, (params_gradient, images_gradient) = compute(*network(case, golden), golden)
    blocks = flatten_dict(collected["intermediates"], sep="/")
    blocks = {path.removesuffix("/__call__"): output for path, (output,) in blocks.items()}
    flat = {path: output.reshape(golden["blocks"][path].shape) for path, output in blocks.items()}
    assert_all_near(flat, golden["blocks"])
    assert_near(logits, golden["logits"])
    assert_near(images_gradient, golden["images_gradient"])
    assert_all_near(flatten_dict(params_gradient, sep="/"), golden["gradients"])


@pytest.mark.parametrize("case", WITH_STATISTICS)
def test_batch_norm_in_training(case):
    golden = load(case)
    logits, moved, (_, images_gradient) = compute(*network(case, golden), golden, train=True)
    assert_near(logits, golden["train_logits"])
    assert_near(images_gradient, golden["train_images_gradient"])
    assert_all_near(flatten_dict(moved["batch_stats"], sep="/"), golden["moveds"])


@pytest.mark.parametrize("case", WITH_STATISTICS)
def test_frozen_statistics_train_as_they_evaluate(case):
    golden = load(case)
    model, variables = network(case, golden, norm_statistics="frozen")
    logits, moved, (_, images_gradient) = compute(model, variables, golden, train=True)
    assert_near(logits, golden["logits"])
    assert_near(images_gradient, golden["images_gradient"])
    jax.tree.map(np.testing.assert_array_equal, moved["batch_stats"], variables["batch_stats"])
