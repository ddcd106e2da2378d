"""Optimisers against torch's documented update rules, in plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitjax.errors import UserError
from vitjax.training import optim

STEPS, RATE, DECAY = 6, 0.05, 0.1
START = np.array([[1.0, -2.0], [0.5, 3.0]])


def gradient(p):
    return np.array([[1.0, -0.5], [2.0, 0.1]]) * p + 0.3


def run(name, **options):
    tx = optim.make_optimizer(name, lambda step: RATE, weight_decay=DECAY, **options)
    params = {"layer": {"kernel": jnp.asarray(START, jnp.float32)}}
    state = tx.init(params)
    for _ in range(STEPS):
        grads = {"layer": {"kernel": jnp.asarray(gradient(np.asarray(params["layer"]["kernel"])))}}
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params["layer"]["kernel"])


def adam(decoupled, b1=0.9, b2=0.999, eps=1e-8):
    p, m, v = START.copy(), 0, 0
    for t in range(1, STEPS + 1):
        g = gradient(p) + (0 if decoupled else DECAY * p)
        if decoupled:
            p = p * (1 - RATE * DECAY)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p = p - RATE * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return p


def sgd(momentum, nesterov):
    p, buffer = START.copy(), 0
    for _ in range(STEPS):
        g = gradient(p) + DECAY * p
        buffer = momentum * buffer + g
        p = p - RATE * (g + momentum * buffer if nesterov else buffer)
    return p


def rmsprop(momentum, alpha=0.99, eps=1e-8):
    p, v, buffer = START.copy(), 0, 0
    for _ in range(STEPS):
        g = gradient(p) + DECAY * p
        v = alpha * v + (1 - alpha) * g * g
        buffer = momentum * buffer + g / (np.sqrt(v) + eps)
        p = p - RATE * buffer
    return p


def adadelta(rho=0.9, eps=1e-6):
    p, v, u = START.copy(), 0, 0
    for _ in range(STEPS):
        g = gradient(p) + DECAY * p
        v = rho * v + (1 - rho) * g * g
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta * delta
        p = p - RATE * delta
    return p


def lion(b1=0.9, b2=0.99):
    p, m = START.copy(), 0
    for _ in range(STEPS):
        g = gradient(p)
        p = p - RATE * (np.sign(b1 * m + (1 - b1) * g) + DECAY * p)
        m = b2 * m + (1 - b2) * g
    return p


def lamb(b1=0.9, b2=0.999, eps=1e-6):
    p, m, v = START.copy(), 0, 0
    for t in range(1, STEPS + 1):
        g = gradient(p)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + DECAY * p
        p = p - RATE * np.linalg.norm(p) / np.linalg.norm(u) * u
    return p


CASES = {
    "adam": ({}, lambda: adam(decoupled=False)),
    "adam, other betas": ({"b1": 0.8, "b2": 0.9}, lambda: adam(False, 0.8, 0.9)),
    "adamw": ({}, lambda: adam(decoupled=True)),
    "sgd": ({}, lambda: sgd(0, False)),
    "sgd, momentum": ({"momentum": 0.9}, lambda: sgd(0.9, False)),
    "sgd, nesterov": ({"momentum": 0.9, "nesterov": True}, lambda: sgd(0.9, True)),
    "rmsprop": ({}, lambda: rmsprop(0)),
    "rmsprop, momentum": ({"momentum": 0.9}, lambda: rmsprop(0.9)),
    "adadelta": ({}, adadelta),
    "lion": ({}, lion),
    "lamb": ({}, lamb),
}


@pytest.mark.parametrize("case", CASES)
def test_update_rule(case):
    options, expected = CASES[case]
    np.testing.assert_allclose(run(case.split(",")[0], **options), expected(), rtol=2e-5, atol=1e-6)


def test_muon_moves_matrices_by_an_orthogonal_step():
    params = {"kernel": jax.random.normal(jax.random.key(0), (6, 4)), "bias": jnp.ones(4)}
    tx = optim.make_optimizer("muon", lambda step: 1.0)
    grads = jax.tree.map(lambda p: p * 7 + 1, params)
    updates, _ = tx.update(grads, tx.init(params), params)
    singular = np.linalg.svd(updates["kernel"], compute_uv=False)
    assert ((singular > 0.6) & (singular < 1.3)).all()  # its five iterations are only near 1
    np.testing.assert_allclose(updates["bias"], -1, rtol=1e-5)  # Adam's first step


def test_muon_leaves_what_is_no_kernel_to_adam():
    shapes = {"kernel": (9, 4), "relative_position_bias": (9, 4)}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    tx = optim.make_optimizer("muon", lambda step: 1.0)
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates["relative_position_bias"], -1, rtol=1e-5)
    assert np.abs(updates["kernel"]).max() < 0.5


def test_every_optimizer_is_tested():
    assert {case.split(",")[0] for case in CASES} | {"muon"} == set(optim.OPTIMIZERS)


def test_decay_mask_spares_bias_norm_and_embedding():
    tokens = ("class_token", "register_tokens", "relative_position_bias")
    shapes = {"kernel": (2, 2), "bias": (2,), "scale": (2,), **dict.fromkeys(tokens, (1, 1, 2))}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    tx = optim.make_optimizer("sgd", lambda step: 1.0, weight_decay=0.5, decay_mask="kernels")
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zero, tx.init(params), params)
    assert {name: float(u.min()) for name, u in updates.items()} == {
        "kernel": -0.5, "bias": 0, "scale": 0, **dict.fromkeys(tokens, 0)
    }  # fmt: skip


def test_clipping_bounds_the_global_norm():
    params = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
    tx = optim.make_optimizer("sgd", lambda step: 1.0, clip_norm=0.5)
    grads = jax.tree.map(lambda p: p + 3.0, params)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert float(optax.tree.norm(updates)) == pytest.approx(0.5)


def test_unknown_optimizer():
    with pytest.raises(
        UserError, match=r"config\.optim\.name='adamx' is unknown; choose from adam"
    ):
        optim.make_optimizer("adamx", lambda step: 1.0)


def test_option_of_another_optimizer():
    with pytest.raises(UserError, match=r"config\.optim\.momentum is not an option of adam, which"):
        optim.make_optimizer("adam", lambda step: 1.0, momentum=0.9)


def test_unknown_decay_mask():
    with pytest.raises(UserError, match=r"config\.optim\.decay_mask='some' is unknown"):
        optim.make_optimizer("adam", lambda step: 1.0, decay_mask="some")
