"""Token mixers by attention: full (ViT) and linear (Linformer)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax import prng
from vitjax.errors import UserError
from vitjax.models.names import check_name
from vitjax.models.parts import init
from vitjax.models.parts.attend import attend
from vitjax.models.parts.dropout import is_zero
from vitjax.models.parts.layers import Linear


class Attend(nn.Module):
    """softmax(q k^T / sqrt(head_dim) + bias) v, with dropout on the weights."""

    dropout_rate: float = 0.0

    @nn.compact
    def __call__(
        self,
        q: jax.Array,
        k: jax.Array,
        v: jax.Array,
        bias: jax.Array | None = None,
        *,
        train: bool,
    ) -> jax.Array:
        """Queries [..., N, H, d], keys and values [..., M, H, d] -> [..., N, H, d].

        The bias has a shape that broadcasts to [..., H, N, M].
        """
        q, k, v = q.swapaxes(-3, -2), jnp.moveaxis(k, -3, -1), v.swapaxes(-3, -2)
        y = attend(q, k, v, bias, **self._dropout(train))
        return y.swapaxes(-3, -2)

    def _dropout(self, train: bool) -> dict[str, Any]:
        if not train or is_zero(self.dropout_rate):
            return {}
        return {"key": prng.cheap(self.make_rng("dropout")), "dropout_rate": self.dropout_rate}


def _head_dim(width: int, num_heads: int, head_dim: int | None, out_proj: bool) -> int:
    """Returns the width of one head; raises UserError where the widths do not fit."""
    if head_dim is None and (num_heads < 1 or width % num_heads):
        raise UserError(
            f"num_heads={num_heads} does not divide hidden_dim={width}; "
            "change config.model.num_heads or set config.model.head_dim"
        )
    dim = head_dim or width // num_heads
    if not out_proj and num_heads * dim != width:
        raise UserError(
            f"out_proj=False needs num_heads * head_dim = hidden_dim, not {num_heads} * {dim} and "
            f"{width}; change config.model.out_proj or config.model.head_dim"
        )
    return dim


class SelfAttention(nn.Module):
    """Multi-head self-attention (https://arxiv.org/abs/1706.03762)."""

    num_heads: int
    head_dim: int | None = None  # None: width / num_heads
    qkv_bias: bool = True
    out_proj: bool = True
    dropout_rate: float = 0.0  # on the attention weights
    kernel_init: str = "xavier_uniform"
    qkv_init: str = ""  # "": kernel_init
    out_init: str = ""  # "": kernel_init
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, N, D] -> tokens [B, N, D]."""
        batch, length, width = x.shape
        head_dim = _head_dim(width, self.num_heads, self.head_dim, self.out_proj)
        inner = self.num_heads * head_dim
        for option in ("qkv_init", "out_init"):
            if getattr(self, option):
                check_name(init.INITS, getattr(self, option), f"config.model.{option}")
        linear = functools.partial(Linear, dtype=self.dtype)
        qkv_init = self.qkv_init or self.kernel_init
        qkv = linear(3 * inner, use_bias=self.qkv_bias, kernel_init=qkv_init, name="qkv")
        q, k, v = (
            part.reshape(batch, length, self.num_heads, head_dim) for part in qkv.in_parts(x, 3)
        )
        y = Attend(self.dropout_rate)(q, k, v, train=train)
        y = y.reshape(batch, length, inner)
        if not self.out_proj:
            return y
        return linear(width, kernel_init=self.out_init or self.kernel_init, name="out")(y)


class LinformerAttention(nn.Module):
    """Self-attention whose keys and values are projected from N tokens to `k_dim`.

    Linformer (https://arxiv.org/abs/2006.04768): cost and memory grow linearly with N. With
    `share_kv` the projected keys serve as values too, as in the PyPI package `linformer`.
    """

    num_heads: int
    k_dim: int
    share_kv: bool = False
    head_dim: int | None = None  # None: width / num_heads
    qkv_bias: bool = False
    out_proj: bool = True
    dropout_rate: float = 0.0  # on the attention weights
    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, N, D] -> tokens [B, N, D]; N is fixed by the projection's parameters."""
        batch, length, width = x.shape
        head_dim = _head_dim(width, self.num_heads, self.head_dim, self.out_proj)
        inner = self.num_heads * head_dim
        linear = functools.partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
        names = ("query", "key") if self.share_kv else ("query", "key", "value")
        qkv = linear(len(names) * inner, use_bias=self.qkv_bias, name="qkv")
        query, *rest = qkv.in_parts(x, len(names))
        projected = [
            jnp.einsum("bnd,nk->bkd", tokens, self._projection(f"{name}_projection", length))
            for name, tokens in zip(names[1:], rest, strict=True)
        ]
        q, k, v = (
            y.reshape(batch, -1, self.num_heads, head_dim)
            for y in (query, projected[0], projected[-1])
        )
        y = Attend(self.dropout_rate)(q, k, v, train=train).reshape(batch, length, inner)
        return linear(width, name="out")(y) if self.out_proj else y

    def _projection(self, name: str, length: int) -> jax.Array:
        """Returns a projection along the sequence, [N, k_dim]."""
        shape = (length, self.k_dim)
        return self.param(name, init.uniform(self.k_dim**-0.5), shape).astype(self.dtype)
