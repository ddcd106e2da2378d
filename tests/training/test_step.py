"""The compiled step and the evaluation, on a model small enough to follow."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from tiny import CLASSES, MESH, SEED, WEIGHTS, Softmax, batches, data, recipe

from vitjax.data.augment import Augmentation
from vitjax.data.on_device import AtRest
from vitjax.data.order import Order
from vitjax.errors import UserError
from vitjax.training import step
from vitjax.training.diagnose import first_bad_layer
from vitjax.training.placement.sharding import check_batch_size
from vitjax.training.step import Programs, evaluate_split, train_step


def by_hand(params, indices):
    """Weighted loss, its gradients and the correct answers of `indices`, in NumPy."""
    kernel, bias = (np.asarray(params["Dense_0"][k], np.float64) for k in ("kernel", "bias"))
    x = (
        np.asarray(data().take(indices).images(), np.float64).reshape(len(indices), -1) / 255 - 0.5
    ) / 0.25
    y = np.asarray(data().labels)[indices]
    logits = x @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weight = WEIGHTS[y]
    loss = -(weight * np.log(p[np.arange(len(y)), y])).sum() / weight.sum()
    error = weight[:, None] * (p - np.eye(CLASSES)[y]) / weight.sum()
    return loss, x.T @ error, error.sum(0), int((logits.argmax(1) == y).sum())


@pytest.mark.parametrize("parts", [1, 4])
def test_step_with_a_padded_batch(parts):
    programs = Programs(recipe(accumulation_steps=parts), MESH)
    state = programs.init(SEED)
    indices = np.array([3, 1, 12, 7, 9, 0, 0, 0])
    mask = np.array([True] * 5 + [False] * 3)
    loss, kernel, bias, correct = by_hand(state.params, indices[:5])
    order = Order(jnp.asarray(indices)[None].repeat(2, 0), jnp.asarray(mask)[None].repeat(2, 0))
    new, finite = train_step(programs.recipe, MESH, SEED, batches(order), state)
    assert bool(finite)
    assert int(new.step) == 1
    assert new.metrics.compute()["loss"] == pytest.approx(loss, rel=1e-5)
    assert (int(new.metrics.correct), int(new.metrics.count)) == (correct, 5)
    old, params = state.params["Dense_0"], new.params["Dense_0"]
    np.testing.assert_allclose(params["kernel"], old["kernel"] - 0.1 * kernel, atol=1e-6)
    np.testing.assert_allclose(params["bias"], old["bias"] - 0.1 * bias, atol=1e-6)


@pytest.mark.parametrize("size", [1, 5, 13, 64])
def test_evaluation_counts_every_example_once(size):
    programs = Programs(recipe(eval_batch_size=size), MESH)
    state = programs.init(SEED)
    metrics = evaluate_split(programs.recipe, MESH, state.variables, data())
    loss, _, _, correct = by_hand(state.params, np.arange(13))
    assert int(metrics.count) == 13
    assert int(metrics.correct) == correct
    assert metrics.compute()["loss"] == pytest.approx(loss, rel=1e-5)


def test_fits_one_batch():
    programs = Programs(recipe(tx=optax.adam(0.3), num_examples=8), MESH)
    state = programs.init(SEED)
    order = Order(jnp.arange(8)[None], jnp.ones((1, 8), bool))
    train = jax.jit(lambda s: train_step(programs.recipe, MESH, SEED, batches(order, 8), s)[0])
    for _ in range(200):
        state = train(state)
    assert state.metrics.compute()["accuracy"] == 1.0


def test_averaged_parameters():
    programs = Programs(recipe(ema_decay=0.9), MESH)
    state = programs.init(SEED)
    order = programs.epoch_order(SEED, np.int32(0))
    new, _ = train_step(programs.recipe, MESH, SEED, batches(order), state)
    expected = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, state.params, new.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), new.ema_params, expected)
    jax.tree.map(np.testing.assert_array_equal, new.variables, {"params": new.ema_params})


def test_a_step_that_is_not_finite_changes_nothing_and_names_the_place():
    programs = Programs(recipe(Softmax(), tx=optax.sgd(0.1)), MESH)
    state = programs.init(SEED)
    bad = jax.tree.map(lambda p: p + jnp.inf, state.params)
    order = programs.epoch_order(SEED, np.int32(0))
    new, finite = train_step(programs.recipe, MESH, SEED, batches(order), state.replace(params=bad))
    assert not bool(finite)
    assert int(new.step) == 0
    jax.tree.map(np.testing.assert_array_equal, new.params, bad)
    where = first_bad_layer(programs.recipe, MESH, SEED, batches(order), state.replace(params=bad))
    assert where == "in parameter Dense_0/bias"


class Overflows(nn.Module):
    """Its parameters are finite, the output of `second` is not."""

    @nn.compact
    def __call__(self, images, *, train=False):
        del train
        x = nn.Dense(4, name="first")(images.reshape(len(images), -1))
        return nn.Dense(CLASSES, name="second")(x * 1e38) * 1e38


def test_names_the_first_layer_that_overflows():
    programs = Programs(recipe(Overflows()), MESH)
    state = programs.init(SEED)
    state = state.replace(params=jax.tree.map(lambda p: p + 100.0, state.params))
    order = programs.epoch_order(SEED, np.int32(0))
    where = first_bad_layer(programs.recipe, MESH, SEED, batches(order), state)
    assert where == "in the output of second"


@pytest.mark.slow
def test_copies_of_an_image_are_augmented_each_in_its_own_way():
    erased = recipe(augmentation=Augmentation(erasing_probability=1.0, repeats=4))
    at = step.order_of(erased, SEED, np.int32(0))
    gathered = step.gather_batch(MESH, batches(at), 0)
    images = step.augment_batch(erased, MESH, SEED, np.int32(0), gathered).images
    indices = np.asarray(gathered.indices)
    assert len(set(indices.tolist())) == 2
    copies = np.asarray(images)[indices == indices[0]]
    assert len(copies) == 4
    assert len({copy.tobytes() for copy in copies}) > 1


@pytest.mark.parametrize(("batch", "parts"), [(0, 1), (8, 3), (8, 0)])
def test_batch_must_split_evenly(batch, parts):
    with pytest.raises(UserError, match=rf"config\.data\.batch_size={batch} is not divisible"):
        check_batch_size(batch, parts, 1)


def test_a_jaxlib_without_the_compile_option_does_without(monkeypatch):
    monkeypatch.setattr(step, "CPU_OPTIONS", {"xla_cpu_no_such_option": "1"})
    many_tokens = recipe(image_shape=(8, 8, 1))
    (double,) = step.aot(many_tokens, (jax.jit(lambda x: 2 * x), (1.0,)))
    assert double(3.0) == 6.0


def strict_loss(logits, targets):
    """NaN for an example of no class."""
    losses, weights = recipe().loss(logits, targets)
    return jnp.where(jnp.sum(targets, axis=-1) > 0, losses, jnp.nan), weights


def train_one_by_one(which, bad, **changes):
    """The state after the examples `which`, of which `bad` are of no class."""
    made = recipe(batch_size=1, loss=strict_loss, num_examples=len(which), **changes)
    programs = Programs(made, MESH)
    split = data()
    split = split.replace(labels=np.where(np.isin(np.arange(13), bad), CLASSES, split.labels))
    order = Order(jnp.asarray(which)[:, None], jnp.ones((len(which), 1), bool))
    given = AtRest(split, order, np.int32(0))
    return programs.train(programs.init(SEED), SEED, given, np.int32(len(which)))


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"tx": optax.adam(0.1)}])
def test_steps_that_are_not_finite_can_be_left_out(changes):
    """The others train as if these were not there."""
    bad = np.array([3, 4, 9])
    found = train_one_by_one(np.arange(13), bad, skip_nonfinite=2, **changes)
    expected = train_one_by_one(np.setdiff1d(np.arange(13), bad), bad, **changes)
    assert (int(found.step), int(found.sums.count), int(found.sums.skipped)) == (13, 10, 3)
    for name in ("params", "ema_params", "opt_state", "metrics"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), ours, theirs)
    norm = float(expected.sums.grad_norm)
    assert float(found.sums.grad_norm) == pytest.approx(norm, rel=1e-5) != 0


def test_too_many_in_a_row_stop_training():
    state = train_one_by_one(np.arange(13), np.array([2, 5, 6, 7]), skip_nonfinite=2)
    assert (int(state.step), int(state.sums.skipped)) == (7, 4)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
