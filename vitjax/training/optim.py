"""Optimisers by name, each but Muon equal to torch's of that name where torch has one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vitjax.errors import UserError
from vitjax.training.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """How to build an optimiser: its direction, its options, where its weight decay goes."""

    direction: Callable[..., optax.GradientTransformation]  # gradient -> step before the rate
    options: Mapping[str, Any]  # name -> default
    decoupled: bool  # decay beside the direction (AdamW) instead of in the gradient (L2)
    last: Callable[[], optax.GradientTransformation] = optax.identity  # after direction and decay


def _adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1, b2, eps)


def _sgd(momentum: float, nesterov: bool) -> optax.GradientTransformation:
    if nesterov and not momentum:
        raise UserError("config.optim.nesterov needs config.optim.momentum above 0")
    return optax.trace(momentum, nesterov) if momentum else optax.identity()


def _rmsprop(alpha: float, eps: float, momentum: float) -> optax.GradientTransformation:
    rms = optax.scale_by_rms(alpha, eps, eps_in_sqrt=False)  # torch adds eps to the root
    return optax.chain(rms, optax.trace(momentum)) if momentum else rms


def _muon(
    momentum: float, nesterov: bool, b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
    """Muon for kernels that are matrices, Adam for the rest.

    https://kellerjordan.github.io/posts/muon. With Nesterov's momentum its first steps differ from
    torch's, whose momentum starts at 0 without a correction.
    """
    axes = optax.contrib.MuonDimensionNumbers()  # kernels are [in, out]
    orthogonal = optax.contrib.scale_by_muon(
        beta=momentum,
        nesterov=nesterov,
        weight_dimension_numbers=lambda tree: jax.tree.map(lambda _: axes, tree),
    )
    stretch = optax.stateless_with_tree_map(lambda u, _: u * max(1, u.shape[1] / u.shape[0]) ** 0.5)
    return optax.partition(
        {"muon": optax.chain(orthogonal, stretch), "adam": optax.scale_by_adam(b1, b2, eps)},
        lambda params: jax.tree.map(
            lambda p, kernel: "muon" if kernel and p.ndim == 2 else "adam",
            params,
            is_kernel(params),
        ),
    )


_ADAM = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}

OPTIMIZERS = {
    "adam": Optimizer(_adam, _ADAM, decoupled=False),
    "adamw": Optimizer(_adam, _ADAM, decoupled=True),
    "sgd": Optimizer(_sgd, {"momentum": 0.0, "nesterov": False}, decoupled=False),
    "adadelta": Optimizer(optax.scale_by_adadelta, {"rho": 0.9, "eps": 1e-6}, decoupled=False),
    "rmsprop": Optimizer(_rmsprop, {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0}, decoupled=False),
    "lion": Optimizer(optax.scale_by_lion, {"b1": 0.9, "b2": 0.99}, decoupled=True),
    "lamb": Optimizer(
        _adam, _ADAM | {"eps": 1e-6}, decoupled=True, last=optax.scale_by_trust_ratio
    ),
    "muon": Optimizer(_muon, {"momentum": 0.95, "nesterov": True} | _ADAM, decoupled=True),
}
OPTIONS = sorted({option for entry in OPTIMIZERS.values() for option in entry.options})


def make_optimizer(
    name: str,
    schedule: Schedule,
    *,
    weight_decay: float | jax.Array = 0.0,
    decay_mask: str = "all",
    clip_norm: float = 0.0,
    rate_factors: Callable[[Any], Any] | None = None,
    **options: Any,
) -> optax.GradientTransformation:
    """Returns the optimiser `name` at the learning rate `schedule`.

    `options` (None: the default) are those of `OPTIMIZERS[name]`. `decay_mask` "kernels" spares
    biases, norms and embeddings. `clip_norm` above 0 clips the gradient's global norm first.
    `rate_factors` maps parameters to factors of their learning rate.
    Raises UserError for an unknown name, mask or option.
    """
    if name not in OPTIMIZERS:
        raise UserError(
            f"config.optim.name={name!r} is unknown; choose from {', '.join(OPTIMIZERS)}"
        )
    if decay_mask not in ("all", "kernels"):
        raise UserError(
            f"config.optim.decay_mask={decay_mask!r} is unknown; choose from all, kernels"
        )
    entry = OPTIMIZERS[name]
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in entry.options:
            raise UserError(
                f"config.optim.{option} is not an option of {name}, which has "
                f"{', '.join(entry.options)}"
            )
    mask = is_kernel if decay_mask == "kernels" else None
    no_decay = isinstance(weight_decay, int | float) and weight_decay == 0
    decay = optax.identity() if no_decay else optax.add_decayed_weights(weight_decay, mask)
    direction = entry.direction(**(dict(entry.options) | given))
    steps = [direction, decay] if entry.decoupled else [decay, direction]
    clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    rate = [_scale_each(rate_factors)] if rate_factors else []
    rate.append(optax.scale_by_learning_rate(schedule))
    return optax.chain(*clip, *steps, entry.last(), *rate)


def _scale_each(factors: Callable[[Any], Any]) -> optax.GradientTransformation:
    return optax.stateless(
        lambda updates, params: jax.tree.map(jnp.multiply, updates, factors(params))
    )


def is_kernel(params: Any) -> Any:
    """Returns a tree of bools: which of `params` are kernels (not biases, norms, embeddings)."""
    others = (
        *("bias", "scale", "position_embedding", "relative_position_bias"),
        *("class_token", "register_tokens"),
    )
    return jax.tree.map_with_path(lambda path, _: path[-1].key not in others, params)
