"""The networks of published weights compute what Hugging Face's and timm's do, block by block.

tests/goldens/make_transformers_goldens.py wrote the files, under the names of the library's own.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from golden import assert_all_near, assert_near, convert, load

from vitjax import models

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
    "timm_vgg": ("vgg", dict(width=4, stage_sizes=(1, 2), hidden_dims=(6, 6), dropout_rate=0.0)),
}  # fmt: skip
WITH_STATISTICS = [case for case, (name, _) in CASES.items() if name in ("resnet", "vgg")]


def network(case, golden, **options):
    """Returns the model and its variables, converted from the library's own names."""
    name, common = CASES[case]
    model = models.create(name, 5, **common, **options)
    variables, _ = convert(golden["tensors"], model, golden["images"].shape[1:])
    return model, variables


def compute(model, variables, golden, train=False):
    """Returns logits, what flax collected, and the gradients (parameters, images) of the loss."""

    def loss(params, images):
        logits, collected = model.apply(
            variables | {"params": params},
            images,
            train=train,
            mutable=["batch_stats"] if train else [],
            capture_intermediates=lambda module, _: "/".join(module.path) in golden["blocks"],
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, golden["labels"])
        return jnp.mean(losses), (logits, collected)

    with jax.default_matmul_precision("float32"):
        function = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        gradients, (logits, collected) = function(variables["params"], golden["images"])
    return logits, collected, gradients


@pytest.mark.parametrize("case", CASES)
def test_blocks_logits_and_gradients(case):
    golden = load(case)
    model, variables = network(case, golden)
    logits, collected, (params_gradient, images_gradient) = compute(model, variables, golden)
    blocks = flatten_dict(collected["intermediates"], sep="/")
    blocks = {path.removesuffix("/__call__"): output for path, (output,) in blocks.items()}
    flat = {path: output.reshape(golden["blocks"][path].shape) for path, output in blocks.items()}
    assert_all_near(flat, golden["blocks"])
    assert_near(logits, golden["logits"])
    assert_near(images_gradient, golden["images_gradient"])
    # A gradient has its weight's layout, so that the same converter serves.
    expected, _ = convert(golden["gradients"], model, golden["images"].shape[1:])
    expected = flatten_dict(expected["params"], sep="/")
    assert_all_near(flatten_dict(params_gradient, sep="/"), expected)


@pytest.mark.parametrize("case", WITH_STATISTICS)
def test_batch_norm_in_training(case):
    golden = load(case)
    model, variables = network(case, golden)
    logits, moved, (_, images_gradient) = compute(model, variables, golden, train=True)
    assert_near(logits, golden["train_logits"])
    assert_near(images_gradient, golden["train_images_gradient"])
    later = golden["tensors"] | golden["moveds"]
    expected = flatten_dict(convert(later, model, golden["images"].shape[1:])[0]["batch_stats"])
    assert_all_near(flatten_dict(moved["batch_stats"]), expected)


@pytest.mark.parametrize("case", WITH_STATISTICS)
def test_frozen_statistics_train_as_they_evaluate(case):
    golden = load(case)
    model, variables = network(case, golden, norm_statistics="frozen")
    logits, moved, (_, images_gradient) = compute(model, variables, golden, train=True)
    assert_near(logits, golden["logits"])
    assert_near(images_gradient, golden["images_gradient"])
    jax.tree.map(np.testing.assert_array_equal, moved["batch_stats"], variables["batch_stats"])
