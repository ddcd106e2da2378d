"""Optimisers, losses and initialisers against torch's own results.

tests/goldens/make_goldens.py wrote the files.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitjax.data.augment.mix import Probabilities
from vitjax.models.parts import init
from vitjax.training import losses
from vitjax.training.optim import make_optimizer
from vitjax.training.schedule import make_schedule

GOLDENS = Path(__file__).parents[1] / "goldens"
OPTIONS = {"momentum", "nesterov", "alpha", "rho"}  # named alike in torch and vitjax


def load(name):
    with np.load(GOLDENS / f"{name}.npz") as file:
        return dict(file)


OPTIMIZERS, LOSSES, INITS = load("optimizers"), load("losses"), load("inits")
OPTIMIZER_CASES = json.loads(str(OPTIMIZERS["cases"]))
STEPS, STEPS_PER_EPOCH = 20, 5


def params_of(prefix):
    """A small network's parameters in torch's layout, as vitjax's tree."""
    return {
        layer: {
            "kernel": jnp.asarray(OPTIMIZERS[f"{prefix} {layer}.weight"].T),
            "bias": jnp.asarray(OPTIMIZERS[f"{prefix} {layer}.bias"]),
        }
        for layer in ("0", "2")
    }


def network_loss(params, inputs, labels):
    hidden = jnp.tanh(inputs @ params["0"]["kernel"] + params["0"]["bias"])
    logits = hidden @ params["2"]["kernel"] + params["2"]["bias"]
    values, weights = losses.cross_entropy(
        logits, jax.nn.one_hot(labels, 3), class_weights=jnp.ones(3)
    )
    return values.sum() / weights.sum()


@pytest.mark.parametrize("case", OPTIMIZER_CASES)
def test_optimizer_after_20_steps(case):
    arguments = OPTIMIZER_CASES[case]["arguments"]
    options = {name: value for name, value in arguments.items() if name in OPTIONS}
    if "betas" in arguments:
        options["b1"], options["b2"] = arguments["betas"]
    known = OPTIONS | {"betas", "lr", "weight_decay"}
    assert known >= set(arguments)
    schedule = make_schedule(
        "step",
        learning_rate=arguments["lr"],
        steps_per_epoch=STEPS_PER_EPOCH,
        num_epochs=STEPS // STEPS_PER_EPOCH,
        step_size=OPTIMIZER_CASES[case]["step_size"],
        gamma=OPTIMIZER_CASES[case]["gamma"],
    )
    tx = make_optimizer(
        case.split(",")[0], schedule, weight_decay=arguments.get("weight_decay", 0.0), **options
    )

    @jax.jit
    def step(params, state, inputs, labels):
        gradients = jax.grad(network_loss)(params, inputs, labels)
        updates, state = tx.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    start = params_of("start")
    params, state = start, tx.init(start)
    with jax.default_matmul_precision("float32"):
        for i in range(STEPS):
            batch = i % STEPS_PER_EPOCH
            params, state = step(
                params, state, OPTIMIZERS["inputs"][batch], OPTIMIZERS["labels"][batch]
            )
    expected = params_of(f"{case}:")
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), start, expected)
    assert min(jax.tree.leaves(moved)) > 1e-3
    jax.tree.map(
        lambda got, want: np.testing.assert_allclose(got, want, rtol=0, atol=1e-5), params, expected
    )


@pytest.mark.parametrize("case", [key[:-6] for key in LOSSES if key.endswith(": loss")])
def test_loss(case):
    targets, weights = LOSSES[f"{case}: targets"], LOSSES[f"{case}: weights"]
    targets = Probabilities(targets) if case.startswith("mixed") else targets
    name = "mse" if case == "mse" else "cross_entropy"
    loss = losses.make_loss(name, weights, float(LOSSES[f"{case}: smoothing"]))

    def mean(logits):
        values, counts = loss(logits, targets)
        return values.sum() / counts.sum()

    with jax.default_matmul_precision("float32"):
        value, gradient = jax.value_and_grad(mean)(LOSSES["logits"])
    np.testing.assert_allclose(value, LOSSES[f"{case}: loss"], rtol=1e-6)
    np.testing.assert_allclose(gradient, LOSSES[f"{case}: gradient"], rtol=0, atol=1e-6)


def summary(kernel):
    """The statistics of the golden file, in its order."""
    values = np.asarray(kernel, np.float64)
    quantiles = np.quantile(values, np.linspace(0.05, 0.95, 19))
    singular = np.linalg.svd(values.reshape(-1, values.shape[-1]), compute_uv=False)
    summary = [values.mean(), values.std(), values.min(), values.max(), *quantiles]
    return np.array([*summary, singular[0], singular[-1]])


@pytest.mark.parametrize("case", [key for key in INITS if key.endswith((": linear", ": conv"))])
def test_initialiser_statistics(case):
    name, _, layer = case.partition(": ")
    shape = {"linear": (400, 300), "conv": (4, 4, 30, 64)}[layer]
    got = summary(init.by_name(name).kernel(jax.random.key(0), shape))
    expected = INITS[case]
    error = expected[1] * np.sqrt(2 / np.prod(shape))  # of the difference of two means
    assert abs(got[0] - expected[0]) < 4 * error
    assert abs(got[1] - expected[1]) < 4 * error / np.sqrt(2)
    # A quantile's error is sqrt(p (1 - p)) / density: 2.1 deviations at a normal's 5 %.
    np.testing.assert_allclose(got[4:23], expected[4:23], rtol=0, atol=4 * 2.1 * error)
    # A uniform's ends are sharp, a normal's are not.
    sharp = "uniform" in name or name == "torch_linear"
    np.testing.assert_allclose(got[2:4], expected[2:4], rtol=1e-3 if sharp else 0.35)
    exact = name == "orthogonal"
    np.testing.assert_allclose(got[23:], expected[23:], atol=(1e-5 if exact else 0.05) * got[23])


def test_sparse_spares_as_many_outputs_of_each_input():
    kernel = init.by_name("sparse").kernel(jax.random.key(0), (400, 300))
    np.testing.assert_array_equal((kernel == 0).sum(axis=1), INITS["sparse: zeros of each input"])
