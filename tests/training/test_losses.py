"""Losses and class weights against torch's formulas, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from vitjax.data.augment import Augmentation
from vitjax.data.augment.mix import Probabilities
from vitjax.errors import UserError
from vitjax.training import losses
from vitjax.training.step import Programs, evaluate_split, train_step

LOGITS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0], [2.0, 2.0, -4.0]], np.float32)
LABELS = np.array([0, 2, 1])
WEIGHTS = np.array([0.5, 2.0, 1.5], np.float32)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]


def torch_cross_entropy(smoothing):
    """torch.nn.CrossEntropyLoss(weight, label_smoothing), as its documentation writes it."""
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    hard = -sum(WEIGHTS[y] * log_p[i, y] for i, y in enumerate(LABELS))
    soft = -(WEIGHTS * log_p).sum()
    return ((1 - smoothing) * hard + smoothing / 3 * soft) / WEIGHTS[LABELS].sum()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing):
    loss = losses.make_loss("cross_entropy", jnp.asarray(WEIGHTS), smoothing)
    total, weight = map(jnp.sum, loss(LOGITS, ONE_HOT))
    assert float(total / weight) == pytest.approx(torch_cross_entropy(smoothing), rel=1e-6)


def test_cross_entropy_known_value():  # equal logits over 4 classes: log 4
    loss = losses.make_loss("cross_entropy", jnp.ones(4), 0.0)
    total, _ = loss(jnp.zeros((1, 4)), jax.nn.one_hot(jnp.array([2]), 4))
    assert float(total[0]) == pytest.approx(np.log(4))


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 4])
def test_mixed_labels_are_torchs_probabilities_and_others_its_labels(parts):
    # CrossEntropyLoss(weight) divides by the number of examples or by their weights.
    augmentation = Augmentation(mixup_alpha=0.4)
    recipe = tiny.recipe(augmentation=augmentation, accumulation_steps=parts)
    programs, data = Programs(recipe, tiny.MESH), tiny.data()
    state = programs.init(tiny.SEED)
    order = programs.epoch_order(tiny.SEED, np.int32(0))
    new, _ = train_step(recipe, tiny.MESH, tiny.SEED, tiny.batches(order), state)
    assert float(new.metrics.weight) == recipe.batch_size
    measured = evaluate_split(recipe, tiny.MESH, state.variables, data)
    assert float(measured.weight) == tiny.WEIGHTS[data.labels].sum()


def test_mse():  # torch.nn.MSELoss on one-hot labels: the mean over all entries
    loss = losses.make_loss("mse", jnp.ones(3), 0.0)
    total, weight = map(jnp.sum, loss(LOGITS, ONE_HOT))
    assert float(total / weight) == pytest.approx(np.mean((LOGITS - ONE_HOT) ** 2), rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "cross_entropy"])
def test_mixed_labels_are_divided_by_their_number(name):
    loss = losses.make_loss(name, jnp.asarray(WEIGHTS), 0.0)
    mixed_losses, weights = loss(LOGITS, Probabilities(ONE_HOT))
    assert weights.tolist() == [1] * len(LABELS)
    np.testing.assert_array_equal(mixed_losses, loss(LOGITS, ONE_HOT)[0])


def test_unknown_loss():
    with pytest.raises(UserError, match=r"config\.loss\.name='hinge' is unknown; choose"):
        losses.make_loss("hinge", jnp.ones(3), 0.0)


def test_smoothing_needs_cross_entropy():
    with pytest.raises(UserError, match=r"label_smoothing=0\.1 works with cross_entropy only"):
        losses.make_loss("mse", jnp.ones(3), 0.1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_balanced_weights_are_examples_over_classes_times_counts(dtype):
    labels = np.array([0, 0, 0, 1, 2, 2], dtype)
    weights = losses.class_weights("balanced", labels, 3)
    np.testing.assert_array_equal(weights, np.array([2 / 3, 2, 1], np.float32))


def test_uniform_weights():
    np.testing.assert_array_equal(losses.class_weights("uniform", LABELS, 3), [1, 1, 1])


def test_given_weights():
    np.testing.assert_allclose(losses.class_weights((1, 2, 0.5), LABELS, 3), [1, 2, 0.5])


@pytest.mark.parametrize("weights", [(1.0, 2.0), (1.0, -1.0, 1.0), (0.0, 0.0, 0.0), 3])
def test_wrong_weights(weights):
    with pytest.raises(UserError, match=r"config\.loss\.class_weights=.* should be 3 numbers"):
        losses.class_weights(weights, LABELS, 3)


def test_unknown_weights():
    with pytest.raises(UserError, match=r"class_weights='fair' is unknown; choose uniform"):
        losses.class_weights("fair", LABELS, 3)


def test_balanced_needs_every_class():
    message = r"needs examples of every class; train has none of class 3"
    with pytest.raises(UserError, match=message):
        losses.class_weights("balanced", LABELS, 4)
