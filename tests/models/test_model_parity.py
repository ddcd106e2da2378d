"""Each network computes what the published code computes: logits and all gradients.

tests/goldens/make_goldens.py wrote the files from torch and the packages that the seeds used.
"""

import json

import golden as golden_file
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from golden import GOLDENS, assert_near, unpack

from vitjax import models

NUM_LAYERS, NUM_CLASSES = 2, 5

# vitjax's layer or parameter -> torch's name, which for a layer lacks only "weight" or "bias".
# Several names are one fused layer.

TORCH_ENCODER = {
    "stem": "patches.",
    "class_token": "class_token",
    "position_embedding": "positions",
    "encoder/block_{i}/mixer/qkv": "encoder.layers.{i}.self_attn.in_proj_",
    "encoder/block_{i}/mixer/out": "encoder.layers.{i}.self_attn.out_proj.",
    "encoder/block_{i}/mixer_norm": "encoder.layers.{i}.norm1.",
    "encoder/block_{i}/mlp/in": "encoder.layers.{i}.linear1.",
    "encoder/block_{i}/mlp/out": "encoder.layers.{i}.linear2.",
    "encoder/block_{i}/mlp_norm": "encoder.layers.{i}.norm2.",
    "head/hidden_0": "head.0.",
    "head/hidden_1": "head.1.",
    "head/logits": "head.2.",
}
SCRATCH_VIT = {
    "stem": "patches.",
    "class_token": "class_token",
    "position_embedding": "positions",
    "encoder/block_{i}/mixer_norm": "blocks.{i}.norm1.",
    "encoder/block_{i}/mixer/qkv": ("blocks.{i}.query.", "blocks.{i}.key.", "blocks.{i}.value."),
    "encoder/block_{i}/mixer/out": "blocks.{i}.out.",
    "encoder/block_{i}/mlp_norm": "blocks.{i}.norm2.",
    "encoder/block_{i}/mlp/in": "blocks.{i}.fc1.",
    "encoder/block_{i}/mlp/out": "blocks.{i}.fc2.",
    "final_norm": "norm.",
    "head/hidden_0": "head1.",
    "head/logits": "head2.",
}
MIXER = {"stem/embedding": "1.", "final_norm": "4.", "head/logits": "6."} | {
    f"encoder/block_{i}/{ours}": f"{i + 2}.{theirs}."
    for i in range(NUM_LAYERS)
    for ours, theirs in {
        "mixer_norm": "0.norm",
        "mixer/mlp/in": "0.fn.0",
        "mixer/mlp/out": "0.fn.3",
        "mlp_norm": "1.norm",
        "mlp/in": "1.fn.0",
        "mlp/out": "1.fn.3",
    }.items()
}

VIT_OPTIONS = dict(stem="linear", num_heads=2, head_dim=6, qkv_bias=False, mlp_dim=20)
LINFORMER_OPTIONS = dict(stem="linear", num_heads=2, head_dim=6, k_dim=3, mlp_dim=64)
CASES = {  # golden file: (names; None: a public converter has them, model, its options)
    "vit_pytorch_old": (None, "vit", VIT_OPTIONS),
    "vit_pytorch_today": (None, "vit", VIT_OPTIONS | {"stem_norm": True}),
    "vit_pytorch_mean": (None, "vit", VIT_OPTIONS | {"stem_norm": True, "pool": "mean"}),
    "linformer": (None, "linformer", LINFORMER_OPTIONS),
    "linformer_shared": (None, "linformer", LINFORMER_OPTIONS | {"share_kv": True}),
    "linformer_today": (None, "linformer", LINFORMER_OPTIONS | {"stem_norm": True}),
    "torch_encoder": (TORCH_ENCODER, "vit", dict(
        num_heads=2, mlp_dim=20, norm="post", final_norm=False, head_hidden_dims=(24, 12),
        head_activation="relu", head_activate_logits=True,
    )),
    "scratch_vit": (SCRATCH_VIT, "vit", dict(
        num_heads=2, mlp_dim=32, position_on_class_token=False, head_hidden_dims=(16,),
        head_activation="tanh",
    )),
    "mixer": (MIXER, "mixer", dict(stem="linear", tokens_mlp_dim=32, mlp_dim=8)),
}  # fmt: skip


def convert(weights, table, template):
    """Torch's weights as vitjax's parameters; each weight is used once."""
    unused = dict(weights)
    names = {
        ours.format(i=i): [name.format(i=i) for name in np.atleast_1d(theirs)]
        for ours, theirs in table.items()
        for i in range(NUM_LAYERS)
    }

    def fill(path, shape):
        layer, _, leaf = "/".join(key.key for key in path).rpartition("/")
        if layer in names:
            suffix = "bias" if leaf == "bias" else "weight"
            value = np.concatenate([unused.pop(prefix + suffix) for prefix in names[layer]])
        else:
            (name,) = names[f"{layer}/{leaf}" if layer else leaf]
            value = unused.pop(name)
        if leaf == "kernel":  # [out, in, ...] -> [..., in, out]
            value = np.moveaxis(value, (0, 1), (-1, -2))
        value = value.reshape([n for n in value.shape if n > 1])
        assert value.shape == tuple(n for n in shape.shape if n > 1), (path, value.shape, shape)
        return value.reshape(shape.shape)

    params = jax.tree.map_with_path(fill, template)
    assert not unused
    return params


def converter(table, model, image_shape):
    """Torch's weights, one flat array -> vitjax's parameters."""
    if table is None:
        return lambda tensors: golden_file.convert(tensors, model, image_shape)[0]["params"]
    template = models.abstract_params(model, image_shape)
    return lambda tensors: convert(tensors, table, template)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients(case):
    table, name, options = CASES[case]
    with np.load(GOLDENS / f"{case}.npz") as file:
        golden = dict(file)
    shapes = json.loads(str(golden["shapes"]))
    images = golden["images"].transpose(0, 2, 3, 1)
    model = models.create(name, NUM_CLASSES, hidden_dim=16, num_layers=NUM_LAYERS, **options)
    to_params = converter(table, model, images.shape[1:])
    params = to_params(unpack(golden["weights"], shapes))

    def loss(params, images):
        logits = model.apply({"params": params}, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, golden["labels"])
        return jnp.mean(losses), logits

    with jax.default_matmul_precision("float32"):
        gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        (params_gradient, images_gradient), logits = gradient(params, images)
    assert_near(logits, golden["logits"])
    assert_near(images_gradient.transpose(0, 3, 1, 2), golden["images_gradient"])
    # A gradient has its weight's layout, so that the same converter serves.
    expected = to_params(unpack(golden["gradients"], shapes))
    jax.tree.map(assert_near, params_gradient, expected)


def test_golden_files_are_small():
    sizes = [path.stat().st_size for path in GOLDENS.glob("*.npz")]
    assert max(sizes) < 60_000
    assert sum(sizes) < 750_000
