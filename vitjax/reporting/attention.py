"""Where a model looks: attention weights, read off without changing what it computes."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vitjax.errors import UserError
from vitjax.models import Linformer, ViT
from vitjax.models.attention import Attend


class AttentionMaps(NamedTuple):
    """Where on the grid of patches [R, C] the pooled token looks; class token left out."""

    heads: np.ndarray  # [B, L, H, R, C], by layer and head
    rollout: np.ndarray  # [B, R, C], through all layers


def attention_maps(model: nn.Module, variables: Any, images: np.ndarray) -> AttentionMaps:
    """Returns the maps of normalised images [B, H, W, C]; UserError as `attention_weights`.

    Images are taken one after the other: weights among N tokens fill memory as N squared.
    """
    _check(model)
    grid = patch_grid(model, images.shape[1:3])

    def of_one(variables: Any, image: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = jnp.stack(_weights_of_layers(model, variables, image[None]))
        return pooled_maps(weights[:, 0], grid), pooled_maps(rollout(weights)[0], grid)

    program = jax.jit(lambda v, x: jax.lax.map(functools.partial(of_one, v), x))
    return AttentionMaps(*map(np.asarray, program(variables, jnp.asarray(images))))


def attention_weights(model: nn.Module, variables: Any, images: np.ndarray) -> np.ndarray:
    """Returns [L, B, H, N, N] of normalised images [B, H, W, C]: layer, head, query, token.

    Rows sum to 1. A Linformer's queries attend to k_dim sums of tokens; each sum's weight is
    shared out among the N tokens in proportion to the size of their entries in the key projection.
    Raises UserError for a model without attention among all patches.
    """
    _check(model)
    layers = jax.jit(functools.partial(_weights_of_layers, model))
    return np.stack(layers(variables, jnp.asarray(images)))


def _check(model: nn.Module) -> None:
    if not isinstance(model, ViT | Linformer):
        raise UserError(
            f"{type(model).__name__} has no attention among all patches; attention maps are for "
            "ViT and Linformer"
        )


def _weights_of_layers(model: nn.Module, variables: Any, images: jax.Array) -> list[jax.Array]:
    found: list[jax.Array] = []

    def watch(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, Attend) and context.method_name == "__call__":
            query, key, *_ = args
            found.append(_over_tokens(_softmax(query, key), context.module.path, variables))
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        model.apply(variables, images)
    return found


def _softmax(query: jax.Array, key: jax.Array) -> jax.Array:
    """Queries [B, N, H, d] and keys [B, M, H, d] -> weights [B, H, N, M], float32."""
    logits = jnp.einsum("bnhd,bmhd->bhnm", query, key, preferred_element_type=jnp.float32)
    return jax.nn.softmax(logits * query.shape[-1] ** -0.5)


def _over_tokens(weights: jax.Array, path: tuple[str, ...], variables: Any) -> jax.Array:
    """Shares out weights on a Linformer's k_dim sums [B, H, N, k] among tokens [B, H, N, N]."""
    owner = functools.reduce(lambda tree, name: tree[name], path[:-1], variables["params"])
    if "key_projection" not in owner:
        return weights
    size = jnp.abs(owner["key_projection"])  # [N, k]
    return jnp.einsum("bhnk,mk->bhnm", weights, size / size.sum(axis=0))


def rollout(weights: Any) -> Any:
    """Weights [L, B, H, N, N] -> [B, N, N], how much of each input token ends in each output.

    Attention rollout (https://arxiv.org/abs/2005.00928): the product over layers of the mean over
    heads, averaged with the identity for the skip connection.
    """
    mixed = (weights.mean(axis=2) + np.eye(weights.shape[-1], dtype=weights.dtype)) / 2
    return functools.reduce(lambda below, layer: layer @ below, mixed)


def patch_grid(model: nn.Module, size: tuple[int, ...]) -> tuple[int, int]:
    """Returns the rows and columns of patches in images of height and width `size`."""
    patch_size = model.patch_size
    return size[0] // patch_size, size[1] // patch_size


def pooled_maps(weights: Any, grid: tuple[int, int]) -> Any:
    """Weights [..., N, N] -> [..., R, C]: what is pooled for the head looks at.

    That is the class token, which comes first, if there is one; else the mean of all tokens.
    """
    has_class_token = weights.shape[-1] == grid[0] * grid[1] + 1
    rows = weights[..., 0, 1:] if has_class_token else weights.mean(axis=-2)
    return rows.reshape(*rows.shape[:-1], *grid)
