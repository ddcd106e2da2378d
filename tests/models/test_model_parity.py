"""Each network computes what the published code computes: logits and all gradients.

tests/goldens/make_goldens.py wrote the files from torch and the packages that the seeds used.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitjax import models

GOLDENS = Path(__file__).parents[1] / "goldens"
NUM_LAYERS, NUM_CLASSES = 2, 5
TOLERANCE = 1e-5  # of the largest value
NOISE = 1e-7  # for what is 0 but for rounding, as the gradient of a bias that a norm removes

# vitjax's layer or parameter -> torch's name, which for a layer lacks only "weight" or "bias".
# Several names are one fused layer.

VIT_PYTORCH = {
    "stem/embedding": "to_patch_embedding.1.",
    "class_token": "cls_token",
    "position_embedding": "pos_embedding",
    "encoder/block_{i}/mixer_norm": "transformer.layers.{i}.0.norm.",
    "encoder/block_{i}/mixer/qkv": "transformer.layers.{i}.0.fn.to_qkv.",
    "encoder/block_{i}/mixer/out": "transformer.layers.{i}.0.fn.to_out.0.",
    "encoder/block_{i}/mlp_norm": "transformer.layers.{i}.1.norm.",
    "encoder/block_{i}/mlp/in": "transformer.layers.{i}.1.fn.net.0.",
    "encoder/block_{i}/mlp/out": "transformer.layers.{i}.1.fn.net.3.",
    "final_norm": "mlp_head.0.",
    "head/logits": "mlp_head.1.",
}
STEM_NORM = {
    "stem/patch_norm": "to_patch_embedding.1.",
    "stem/embedding": "to_patch_embedding.2.",
    "stem/token_norm": "to_patch_embedding.3.",
}
VIT_PYTORCH_TODAY = VIT_PYTORCH | {
    **STEM_NORM,
    "encoder/block_{i}/mixer/qkv": "transformer.layers.{i}.0.to_qkv.",
    "encoder/block_{i}/mixer/out": "transformer.layers.{i}.0.to_out.0.",
    "encoder/block_{i}/mlp_norm": "transformer.layers.{i}.1.net.0.",
    "encoder/block_{i}/mlp/in": "transformer.layers.{i}.1.net.1.",
    "encoder/block_{i}/mlp/out": "transformer.layers.{i}.1.net.4.",
    "final_norm": "transformer.norm.",
    "head/logits": "mlp_head.",
}
ATTENTION = "transformer.net.layers.{i}.0.fn."
LINFORMER_SHARED = VIT_PYTORCH | {
    "encoder/block_{i}/mixer_norm": "transformer.net.layers.{i}.0.norm.",
    "encoder/block_{i}/mixer/qkv": (f"{ATTENTION}to_q.", f"{ATTENTION}to_k."),
    "encoder/block_{i}/mixer/key_projection": f"{ATTENTION}proj_k",
    "encoder/block_{i}/mixer/out": f"{ATTENTION}to_out.",
    "encoder/block_{i}/mlp_norm": "transformer.net.layers.{i}.1.norm.",
    "encoder/block_{i}/mlp/in": "transformer.net.layers.{i}.1.fn.w1.",
    "encoder/block_{i}/mlp/out": "transformer.net.layers.{i}.1.fn.w2.",
}
LINFORMER = LINFORMER_SHARED | {
    "encoder/block_{i}/mixer/qkv": tuple(f"{ATTENTION}to_{name}." for name in "qkv"),
    "encoder/block_{i}/mixer/value_projection": f"{ATTENTION}proj_v",
}
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
CASES = {  # golden file: (names, model, its options)
    "vit_pytorch_old": (VIT_PYTORCH, "vit", VIT_OPTIONS),
    "vit_pytorch_today": (VIT_PYTORCH_TODAY, "vit", VIT_OPTIONS | {"stem_norm": True}),
    "linformer": (LINFORMER, "linformer", LINFORMER_OPTIONS),
    "linformer_shared": (LINFORMER_SHARED, "linformer", LINFORMER_OPTIONS | {"share_kv": True}),
    "linformer_today": (
        LINFORMER | STEM_NORM, "linformer", LINFORMER_OPTIONS | {"stem_norm": True},
    ),
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


def load(name):
    with np.load(GOLDENS / f"{name}.npz") as file:
        return dict(file)


def unpack(values, shapes):
    """One flat array -> {torch's name: array}."""
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
    pieces = np.split(values, ends[:-1])
    return {name: x.reshape(shape) for (name, shape), x in zip(shapes.items(), pieces, strict=True)}


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


def assert_near(got, expected):
    limit = TOLERANCE * np.abs(expected).max() + NOISE
    np.testing.assert_allclose(got, expected, rtol=0, atol=limit)


@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients(case):
    table, name, options = CASES[case]
    golden = load(case)
    shapes = json.loads(str(golden["shapes"]))
    images = golden["images"].transpose(0, 2, 3, 1)
    model = models.create(name, NUM_CLASSES, hidden_dim=16, num_layers=NUM_LAYERS, **options)
    template = models.abstract_params(model, images.shape[1:])
    params = convert(unpack(golden["weights"], shapes), table, template)

    def loss(params, images):
        logits = model.apply({"params": params}, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, golden["labels"])
        return jnp.mean(losses), logits

    with jax.default_matmul_precision("float32"):
        gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        (params_gradient, images_gradient), logits = gradient(params, images)
    assert_near(logits, golden["logits"])
    assert_near(images_gradient.transpose(0, 3, 1, 2), golden["images_gradient"])
    # A gradient has its weight's layout, so the same table converts it.
    expected = convert(unpack(golden["gradients"], shapes), table, template)
    jax.tree.map(assert_near, params_gradient, expected)


def test_golden_files_are_small():
    sizes = [path.stat().st_size for path in GOLDENS.glob("*.npz")]
    assert max(sizes) < 60_000
    assert sum(sizes) < 500_000
