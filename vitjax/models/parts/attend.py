"""Attention itself: the softmax of products, and its gradient by hand."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vitjax.models.parts import flash
from vitjax.models.parts.dropout import drop

FEW_TOKENS = 32  # up to which XLA's CPU backend multiplies otherwise than above


def attend(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    bias: jax.Array | None = None,
    *,
    key: jax.Array | None = None,
    dropout_rate: float | jax.Array = 0.0,
) -> jax.Array:
    """softmax(q k^T / sqrt(d) + bias) v, with dropout on the weights where a key is given.

    Queries [..., N, d], keys [..., d, M], values [..., M, d] -> [..., N, d]; the bias broadcasts to
    [..., N, M]. Fewer passes over [..., N, M] than by jax.nn.softmax and JAX's gradient: it is
    divided by its sums after the product, and the gradient's sums over a row come from the result,
    as in Flash Attention (https://arxiv.org/abs/2205.14135, B.2). Many tokens on a TPU: flash.py.
    """
    rate = jnp.asarray(dropout_rate, jnp.float32)
    by_platform: dict[str, Callable] = {"cpu": functools.partial(attend_by, "nm")}
    if bias is None and key is None and flash.is_worth(q, k):
        by_platform["tpu"] = lambda q, k, v, *_: flash.attend(q, k, v)
    return jax.lax.platform_dependent(
        *(q * q.shape[-1] ** -0.5, k, v, bias, key, rate),
        **by_platform,
        default=functools.partial(attend_by, "mn"),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend_by(w: str, q: Any, k: Any, v: Any, bias: Any, key: Any, rate: Any) -> jax.Array:
    """As `attend`, with queries that are scaled already and weights whose last axes are `w`.

    "nm", [..., N, M], is what a CPU does faster; "mn" is how a TPU's products lay the weights out,
    so that it need not turn them before it sums.
    """
    return _forward(w, q, k, v, bias, key, rate)[0]


def _forward(
    w: str, q: Any, k: Any, v: Any, bias: Any, key: Any, rate: Any
) -> tuple[jax.Array, tuple]:
    logits = _product(f"nd,dm->{w}", q, k)
    logits = (logits if bias is None else logits + _turned(w, bias)).astype(jnp.float32)
    over_keys = w.index("m") - 2
    powers = jnp.exp(logits - jnp.max(logits, axis=over_keys, keepdims=True))
    # Divides after the product, which is smaller.
    scale = _turned(w, 1 / jnp.sum(powers, axis=over_keys, keepdims=True)).astype(v.dtype)
    powers = powers.astype(q.dtype)
    out = _product(f"{w},md->nd", _drop(powers, key, rate), v) * scale
    return out, (q, k, v, bias, key, rate, powers, scale, out)


def _product(axes: str, *arrays: jax.Array) -> jax.Array:
    """jnp.einsum over the last two axes, which `axes` name."""
    return jnp.einsum("..." + axes.replace(",", ",...").replace("->", "->..."), *arrays)


def _turned(w: str, x: jax.Array) -> jax.Array:
    """From [..., N, M] to weights, or back."""
    return x if w == "nm" else x.swapaxes(-1, -2)


def _drop(x: jax.Array, key: jax.Array | None, rate: jax.Array) -> jax.Array:
    """Dropout by the same decisions each time."""
    return x if key is None else drop(x, key, rate, x.shape)


def _backward(w: str, kept: tuple, gradient: jax.Array) -> tuple:
    q, k, v, bias, key, rate, powers, scale, out = kept
    gradient = gradient * scale
    row_sums = _turned(w, jnp.sum(gradient * out, axis=-1, keepdims=True))
    by_weights = _product(f"nd,md->{w}", gradient, v)
    by_logits = powers * (_drop(by_weights, key, rate) - row_sums)
    by_q = _product(f"{w},dm->nd", by_logits, k)
    dropped = _drop(powers, key, rate)
    if w == "nm":
        by_v, by_k = _by_right(dropped, gradient), _by_right(q, by_logits)
    else:
        by_v = _product("mn,nd->md", dropped, gradient)
        by_k = _product("nd,mn->dm", q, by_logits)
    by_bias = None if bias is None else _sum_to(_turned(w, by_logits), bias)
    return by_q, by_k, by_v, by_bias, None, None


def _sum_to(x: jax.Array, like: jax.Array) -> jax.Array:
    """Sums over what was broadcast from `like`'s shape."""
    x = jnp.sum(x.astype(jnp.float32), axis=tuple(range(x.ndim - like.ndim)))
    axes = tuple(i for i in range(like.ndim) if like.shape[i] == 1 and x.shape[i] > 1)
    return jnp.sum(x, axis=axes, keepdims=True).astype(like.dtype)


def _by_right(a: jax.Array, gradient: jax.Array) -> jax.Array:
    """a^T @ gradient, [..., n, k] and [..., n, m] -> [..., k, m].

    Transposes the smaller of the two, where jnp.matmul would transpose the matrix of weights.
    """
    if a.size < gradient.size:
        return jnp.matmul(_transposed(a), gradient)
    return jnp.matmul(_transposed(gradient), a).swapaxes(-1, -2)


def _transposed(x: jax.Array) -> jax.Array:
    """[..., n, m] -> [..., m, n], in memory where XLA's product of few tokens on a CPU is slow."""
    x, few = x.swapaxes(-1, -2), x.shape[-2] <= FEW_TOKENS
    return jax.lax.optimization_barrier(x) if few else x


attend_by.defvjp(_forward, _backward)
