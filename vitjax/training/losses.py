"""Losses with torch's semantics, as sums: divided once, by the sum of weights."""

import functools
import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from vitjax.data.augment.mix import Probabilities, Targets, rows_of
from vitjax.errors import UserError
from vitjax.models.names import choose

Loss = Callable[[jax.Array, Targets], tuple[jax.Array, jax.Array]]


def cross_entropy(
    logits: jax.Array,
    targets: Targets,
    *,
    class_weights: jax.Array,
    label_smoothing: float | jax.Array = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Logits and targets [B, K] -> weighted losses [B] in nats, weights [B].

    sum(losses) / sum(weights) is torch.nn.CrossEntropyLoss(weight, label_smoothing) in both its
    forms: on labels it divides by the sum of their weights, on probabilities by their number.
    """
    rows = rows_of(targets)
    smooth = (1 - label_smoothing) * rows + label_smoothing / logits.shape[-1]
    losses = -jnp.sum(class_weights * smooth * jax.nn.log_softmax(logits), axis=-1)
    mixed = isinstance(targets, Probabilities)
    return losses, jnp.ones_like(losses) if mixed else rows @ class_weights


def mean_squared_error(
    logits: jax.Array, targets: Targets, *, class_weights: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Logits and targets [B, K] -> weighted mean over classes of the squared errors [B], weights.

    With uniform weights sum(losses) / sum(weights) is torch.nn.MSELoss on rows of targets. Mixed
    targets are divided by their number, as those of cross_entropy are.
    """
    rows = rows_of(targets)
    weights = rows @ class_weights
    losses = weights * jnp.mean(jnp.square(logits - rows), axis=-1)
    return losses, jnp.ones_like(losses) if isinstance(targets, Probabilities) else weights


# By config.loss.name: logits, targets, class_weights and, if it knows that, label_smoothing ->
# losses [B], weights [B].
LOSSES: dict[str, Callable[..., tuple[jax.Array, jax.Array]]] = {
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
}


def make_loss(name: str, class_weights: jax.Array, label_smoothing: float | jax.Array) -> Loss:
    """Returns (logits, targets) -> (losses, weights); raises UserError for an unknown name."""
    loss = functools.partial(choose(LOSSES, name, "config.loss.name"), class_weights=class_weights)
    smoothed = [each for each, function in LOSSES.items() if _smooths(function)]
    if name in smoothed:
        return functools.partial(loss, label_smoothing=label_smoothing)
    if label_smoothing:
        raise UserError(
            f"config.loss.label_smoothing={label_smoothing} works with {', '.join(smoothed)} only; "
            "change config.loss.name or set it to 0"
        )
    return loss


def _smooths(loss: Callable[..., tuple[jax.Array, jax.Array]]) -> bool:
    return "label_smoothing" in inspect.signature(loss).parameters


def class_weights(
    weights: str | Sequence[float] | jax.Array, labels: np.ndarray, num_classes: int
) -> np.ndarray | jax.Array:
    """Returns a weight for each class, float32 [K].

    "uniform": ones; "balanced": N / (K * examples of the class), by scikit-learn; or numbers, or
    what this function returned. Raises UserError for other names, a wrong length or a weight
    below 0.
    """
    if isinstance(weights, jax.Array):
        return weights
    if isinstance(weights, str):
        if weights == "uniform":
            return np.ones(num_classes, np.float32)
        if weights == "balanced":
            return _balanced(labels, num_classes)
        raise UserError(
            f"config.loss.class_weights={weights!r} is unknown; choose uniform, balanced or "
            f"{num_classes} numbers"
        )
    try:
        values = np.asarray(weights, np.float32)
    except (TypeError, ValueError):
        values = np.zeros(0, np.float32)  # no numbers: refused below
    if values.shape != (num_classes,) or not (values >= 0).all() or not values.any():
        raise UserError(
            f"config.loss.class_weights={weights} should be {num_classes} numbers, none "
            "below 0 and one above"
        )
    return values


def _balanced(labels: np.ndarray, num_classes: int) -> np.ndarray:
    classes = np.arange(num_classes)
    missing = np.setdiff1d(classes, labels)
    if missing.size:
        raise UserError(
            f"config.loss.class_weights='balanced' needs examples of every class; train has none "
            f"of class {missing[0]}"
        )
    from sklearn.utils.class_weight import compute_class_weight  # a second to import

    return compute_class_weight("balanced", classes=classes, y=labels).astype(np.float32)
