"""Metrics are sums over examples; the division comes once, at the end."""

from collections.abc import Mapping

import flax.struct
import jax
import jax.numpy as jnp


class Metrics(flax.struct.PyTreeNode):
    """Sums over examples, so that a padded batch weighs right."""

    loss: jax.Array  # weighted losses
    weight: jax.Array  # their weights
    correct: jax.Array  # examples whose top-1 class is the label
    count: jax.Array  # examples

    @classmethod
    def zero(cls) -> "Metrics":
        """Returns the sums over no example."""
        return cls(*(jnp.zeros((), dtype) for dtype in ("float32", "float32", "int32", "int32")))

    def __add__(self, other: "Metrics") -> "Metrics":
        return jax.tree.map(jnp.add, self, other)

    def of_member(self, place: int) -> "Metrics":
        """Returns the sums of one member of [K]."""
        return jax.tree.map(lambda x: x[place], self)

    def compute(self) -> Mapping[str, float]:
        """Returns the mean loss and the accuracy over all examples seen."""
        total = jax.device_get(self)
        return {
            "loss": mean_loss(float(total.loss), float(total.weight)),
            "accuracy": int(total.correct) / max(int(total.count), 1),
        }


def mean_loss(total: float, weight: float) -> float:
    """Returns a sum of losses by the sum of their weights; 0 where no class has a weight."""
    return total / weight if weight else 0.0


def batch_metrics(
    losses: jax.Array, weights: jax.Array, logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> Metrics:
    """Sums over a batch; losses and weights [B] are masked already, logits [B, K], mask [B]."""
    correct = (jnp.argmax(logits, axis=-1) == labels) & mask
    return Metrics(
        loss=jnp.sum(losses), weight=jnp.sum(weights), correct=jnp.sum(correct), count=jnp.sum(mask)
    )


class StepSums(flax.struct.PyTreeNode):
    """Sums over the optimiser's steps of an epoch."""

    grad_norm: jax.Array  # global norms of the gradients, before they are clipped
    count: jax.Array  # steps that were done, int32
    skipped: jax.Array  # steps that were left out, as a number was not finite, int32

    @classmethod
    def zero(cls) -> "StepSums":
        """Returns the sums over no step."""
        return cls(*(jnp.zeros((), dtype) for dtype in ("float32", "int32", "int32")))

    def add(self, grad_norm: jax.Array, done: jax.Array) -> "StepSums":
        """Returns the sums with a step that was `done`, or left out."""
        return StepSums(
            grad_norm=self.grad_norm + jnp.where(done, grad_norm, 0),
            count=self.count + done,
            skipped=self.skipped + ~done,
        )

    def of_member(self, place: int) -> "StepSums":
        """Returns the sums of one member of [K]."""
        return jax.tree.map(lambda x: x[place], self)

    def compute(self) -> Mapping[str, float]:
        """Returns the mean gradient norm, and how many steps were left out if any were."""
        total = jax.device_get(self)
        mean = {"grad_norm": float(total.grad_norm) / max(int(total.count), 1)}
        return mean | ({"skipped": int(total.skipped)} if total.skipped else {})
