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
            "loss": float(total.loss) / max(float(total.weight), 1e-30),
            "accuracy": int(total.correct) / max(int(total.count), 1),
        }


def batch_metrics(
    losses: jax.Array, weights: jax.Array, logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> Metrics:
    """Sums over a batch; losses and weights [B] are masked already, logits [B, K], mask [B]."""
    correct = (jnp.argmax(logits, axis=-1) == labels) & mask
    return Metrics(
        loss=jnp.sum(losses), weight=jnp.sum(weights), correct=jnp.sum(correct), count=jnp.sum(mask)
    )
