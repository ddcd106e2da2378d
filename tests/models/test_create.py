"""Models by name: options, errors, gradients, initialisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.parts import init

IMAGES = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
SMALL = dict(hidden_dim=8, num_layers=2, mlp_dim=12, num_heads=2)
COMPACT = dict(stem="conv3x3", stem_dim=6, pool="attention", num_registers=2, layer_scale=0.5)
OPTIONS = {
    "vit": SMALL | {"head_hidden_dims": (6,)},
    "linformer": SMALL | {"k_dim": 3},
    "mixer": dict(hidden_dim=8, num_layers=2, mlp_dim=12, tokens_mlp_dim=6),
    "resnet": dict(width=8, stage_sizes=(1, 2)),
    "vgg": dict(width=4, stage_sizes=(1, 2), hidden_dims=(6, 5)),
    "swin": dict(
        patch_size=2, hidden_dim=8, stage_sizes=(2, 1), num_heads=(1, 2), window_size=2
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in models.MODELS), ("vit", COMPACT), ("mixer", COMPACT)],
)
def test_every_parameter_gets_a_gradient(name, options):
    model = models.create(name, 3, **OPTIONS[name] | options)
    random = np.random.RandomState(0)
    shapes = models.abstract_variables(model, IMAGES.shape[1:])
    params = jax.tree.map(
        lambda p: np.float32(0.5 * random.normal(size=p.shape)), shapes.pop("params")
    )
    model_state = jax.tree.map(lambda p: np.ones(p.shape, p.dtype), shapes)

    @jax.jit
    @jax.grad
    def gradient(params):
        return jnp.sum(jnp.sin(model.apply({"params": params, **model_state}, IMAGES)))

    grads = gradient(params)
    for path, grad in jax.tree.leaves_with_path(grads):
        where = jax.tree_util.keystr(path)
        if "qkv" in where and "bias" in where:  # the key bias shifts all logits of a row alike
            grad = np.delete(np.asarray(grad).reshape(3, -1), 1, axis=0)
        if "['mixer']['mlp']['out']['bias']" in where:  # equal in all channels: norms remove it
            continue
        assert np.abs(grad).max() > 1e-7, where
        assert np.isfinite(grad).all(), where


@pytest.mark.parametrize("name", models.MODELS)
def test_usable_alone(name):
    model = models.create(name, 3, **OPTIONS[name])
    logits, variables = jax.jit(model.init_with_output)(jax.random.key(0), IMAGES)
    assert logits.shape == (4, 3)
    assert set(variables) == (
        {"params", "batch_stats"} if name in ("resnet", "vgg") else {"params"}
    )


@pytest.mark.parametrize("name", models.MODELS)
def test_bfloat16_keeps_float32_parameters_and_logits(name):
    model = models.create(name, 3, dtype=jnp.bfloat16, **OPTIONS[name])
    logits, variables = jax.jit(model.init_with_output)(jax.random.key(0), IMAGES)
    assert logits.dtype == jnp.float32
    assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    exact = jax.jit(models.create(name, 3, **OPTIONS[name]).apply)(variables, IMAGES)
    np.testing.assert_allclose(logits, exact, atol=0.1)
    assert np.abs(logits - exact).max() > 1e-5 * np.abs(exact).max()  # computed in bfloat16 indeed


def test_a_variant_takes_other_options_besides_its_own():
    model = models.create("vit_b", 3, patch_size=32)
    assert (model.patch_size, model.hidden_dim) == (32, 768)
    assert models.defaults("vit_b")["patch_size"] == 16


def test_unknown_model():
    with pytest.raises(UserError, match=r"config.model_name='vitt' is unknown.*did you mean 'vit'"):
        models.create("vitt", 3)


def test_unknown_option():
    with pytest.raises(
        UserError, match=r"vit has no option 'num_layer'; did you mean 'num_layers'"
    ):
        models.create("vit", 3, num_layer=3)


@pytest.mark.parametrize(
    "option",
    ["activation", "norm", "pool", "position_embedding", "stem", "kernel_init", "qkv_init"],
)
def test_unknown_choice_names_the_option(option):
    model = models.create("vit", 3, **SMALL | {option: "nonsense"})
    with pytest.raises(UserError, match=rf"config\.model\.{option}='nonsense' is unknown; choose"):
        models.abstract_params(model, (8, 8, 1))


def test_heads_must_divide_the_width():
    model = models.create("vit", 3, **SMALL | {"num_heads": 3})
    with pytest.raises(UserError, match=r"num_heads=3 does not divide hidden_dim=8"):
        models.abstract_params(model, (8, 8, 1))


def test_no_output_projection_needs_matching_width():
    model = models.create("vit", 3, **SMALL, head_dim=3, out_proj=False)
    with pytest.raises(UserError, match=r"not 2 \* 3 and 8; change config\.model\.out_proj"):
        models.abstract_params(model, (8, 8, 1))


FAN_IN, FAN_OUT = 400, 300
DEVIATIONS = {  # by the formulas of torch.nn.init
    "xavier_uniform": (2 / (FAN_IN + FAN_OUT)) ** 0.5,
    "xavier_normal": (2 / (FAN_IN + FAN_OUT)) ** 0.5,
    "kaiming_uniform": (2 / FAN_IN) ** 0.5,
    "kaiming_normal": (2 / FAN_IN) ** 0.5,
    "kaiming_normal_fan_out": (2 / FAN_OUT) ** 0.5,
    "normal": 0.01,
    "trunc_normal": 0.02,
    "orthogonal": FAN_IN**-0.5,
    "sparse": 0.01 * 0.9**0.5,
    "torch_linear": (3 * FAN_IN) ** -0.5,
    "torch_linear_zero_bias": (3 * FAN_IN) ** -0.5,
}


@pytest.mark.parametrize("name", init.INITS)
def test_initialiser_deviation(name):
    kernel = np.asarray(init.by_name(name).kernel(jax.random.key(0), (FAN_IN, FAN_OUT)))
    assert kernel.std() == pytest.approx(DEVIATIONS[name], rel=0.01)
    assert abs(kernel.mean()) < 3 * DEVIATIONS[name] / (FAN_IN * FAN_OUT) ** 0.5


def test_uniform_initialisers_are_bounded():
    for name in ("xavier_uniform", "kaiming_uniform", "torch_linear"):
        kernel = np.asarray(init.by_name(name).kernel(jax.random.key(0), (FAN_IN, FAN_OUT)))
        assert np.abs(kernel).max() == pytest.approx(3**0.5 * DEVIATIONS[name], rel=1e-3)


def test_orthogonal_columns():
    kernel = np.asarray(init.by_name("orthogonal").kernel(jax.random.key(0), (FAN_IN, FAN_OUT)))
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(FAN_OUT), atol=1e-4)


def test_sparse_zeroes_a_tenth_of_each_input():
    kernel = np.asarray(init.by_name("sparse").kernel(jax.random.key(0), (FAN_IN, FAN_OUT)))
    assert ((kernel == 0).sum(axis=1) == FAN_OUT // 10).all()


def test_torch_linear_bias_is_drawn():
    layer = models.Linear(FAN_OUT, kernel_init="torch_linear")
    bias = layer.init(jax.random.key(0), jnp.zeros((1, FAN_IN)))["params"]["bias"]
    assert np.abs(bias).max() == pytest.approx(FAN_IN**-0.5, rel=0.02)
