"""Initialisers by torch's names.

Each name gives a kernel initialiser and a bias initialiser, since torch's default for linear layers
draws the bias as well. Kernels are [in, out] or [height, width, in, out].
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers

from vitjax.models.names import choose

Initializer = Callable[..., jax.Array]  # (key, shape, dtype) -> array


def _zero_bias(fan_in: int) -> Initializer:
    del fan_in
    return initializers.zeros


def _uniform_bias(fan_in: int) -> Initializer:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as in torch.nn.Linear."""
    return uniform(fan_in**-0.5)


def uniform(bound: float) -> Initializer:
    """U(-bound, bound)."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _sparse(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """torch's sparse_ with sparsity 0.1 and std 0.01: each input misses a tenth of the outputs."""
    fan_in, fan_out = int(np.prod(shape[:-1])), shape[-1]
    value_key, order_key = jax.random.split(key)
    values = 0.01 * jax.random.normal(value_key, (fan_in, fan_out), dtype)
    rank = jnp.argsort(jax.random.uniform(order_key, (fan_in, fan_out)), axis=1)
    num_zeros = int(np.ceil(0.1 * fan_out))
    return jnp.where(rank < num_zeros, 0, values).reshape(shape)


@dataclasses.dataclass(frozen=True)
class Init:
    """How a layer's parameters begin."""

    kernel: Initializer
    bias: Callable[[int], Initializer] = _zero_bias  # fan_in -> initialiser


def _scaled(scale: float, mode: str, distribution: str) -> Initializer:
    return initializers.variance_scaling(scale, mode, distribution)  # type: ignore[arg-type]


INITS = {
    "xavier_uniform": Init(_scaled(1, "fan_avg", "uniform")),
    "xavier_normal": Init(_scaled(1, "fan_avg", "normal")),
    "kaiming_uniform": Init(_scaled(2, "fan_in", "uniform")),
    "kaiming_normal": Init(_scaled(2, "fan_in", "normal")),
    "kaiming_normal_fan_out": Init(_scaled(2, "fan_out", "normal")),
    "normal": Init(initializers.normal(0.01)),
    # Truncated at +-2 as torch does (not at two deviations): in effect a normal distribution.
    "trunc_normal": Init(initializers.truncated_normal(0.02, lower=-100.0, upper=100.0)),
    "orthogonal": Init(initializers.orthogonal()),
    "sparse": Init(_sparse),
    "torch_linear": Init(_scaled(1 / 3, "fan_in", "uniform"), _uniform_bias),
    # The output projection of torch.nn.MultiheadAttention.
    "torch_linear_zero_bias": Init(_scaled(1 / 3, "fan_in", "uniform")),
}


def by_name(name: str) -> Init:
    """Returns the initialiser `name`; a UserError lists the known names."""
    return choose(INITS, name, "config.model.kernel_init")
