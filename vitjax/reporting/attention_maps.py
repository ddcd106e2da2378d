"""Where a model looks: attention weights, read off without changing what it computes."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vitjax.errors import UserError
from vitjax.models import VGG, Linformer, Mixer, ResNet, Swin, ViT
from vitjax.models.parts.attention import Attend
from vitjax.models.parts.layers import AttentionPool
from vitjax.reporting.drawing import colored, image_axes, new_figure, tile_centres, tiles
from vitjax.reporting.page import Picture, Section, note

_PIXELS = 112  # the longer side of each picture with a map over it
_LARGEST_MAP = 1.2  # inches, of a head's map where heads are few
_READING = (
    "Above: the image, the last layer's weights averaged over its heads, and the rollout, which "
    "multiplies the layers' mean weights, each averaged with the identity for its skip connection. "
    "Below: each head of each layer. Weights are those of {query}; each map is scaled to its own "
    "maximum. They show where values come from, not why the model decides."
)
_LINFORMER = (
    "A Linformer attends to {k} sums of tokens rather than to tokens: here each sum's weight is "
    "shared out among the {n} tokens in proportion to the size of their entries in the key "
    "projection."
)
_CONVOLUTIONS = "its convolutions mix neighbouring pixels alike for every image"
_QUERIES = {  # pool: whose weights are shown
    "cls": "the class token",
    "mean": "all tokens, averaged as the head does",
    "attention": "all tokens, weighted as the head does",
}
_NO_MAPS: dict[type, str] = {
    Mixer: "its token MLPs mix patches alike for every image; see their weights below",
    ResNet: _CONVOLUTIONS,
    VGG: _CONVOLUTIONS,
    Swin: "it attends within windows, so that no token looks at the whole image",
}


class AttentionMaps(NamedTuple):
    """Where on the grid of patches [R, C] what the head sees looks; other tokens left out."""

    heads: Any  # [B, L, H, R, C], by layer and head
    rollout: Any  # [B, R, C], through all layers


def attention_on(model: nn.Module, variables: Any, images: np.ndarray) -> AttentionMaps:
    """Returns the maps of normalised images [B, H, W, C]; UserError as `attention_weights`.

    Images are taken one after the other: weights among N tokens fill memory as N squared.
    """
    found = jax.jit(functools.partial(maps_of, model))(variables, jnp.asarray(images))
    return AttentionMaps(*map(np.asarray, found))


def maps_of(model: nn.Module, variables: Any, images: jax.Array) -> AttentionMaps:
    """`attention_on`, for a program that computes more than that."""
    _check(model)
    grid = patch_grid(model, images.shape[1:3])

    def of_one(image: jax.Array) -> AttentionMaps:
        """Image [H, W, C] -> its maps."""
        layers, shares = _watched(model, variables, image[None], math.prod(grid))
        weights = jnp.stack(layers)
        return AttentionMaps(
            pooled_maps(weights[:, 0], shares[0], grid),
            pooled_maps(rollout(weights)[0], shares[0], grid),
        )

    return jax.lax.map(of_one, images)


def attention_weights(model: nn.Module, variables: Any, images: np.ndarray) -> np.ndarray:
    """Returns [L, B, H, N, N] of normalised images [B, H, W, C]: layer, head, query, token.

    Rows sum to 1. A Linformer's queries attend to k_dim sums of tokens; each sum's weight is
    shared out among the N tokens in proportion to the size of their entries in the key projection.
    Raises UserError for a model without attention among all patches.
    """
    _check(model)
    num_patches = math.prod(patch_grid(model, images.shape[1:3]))
    watched = jax.jit(functools.partial(_watched, model, num_patches=num_patches))
    return np.stack(watched(variables, jnp.asarray(images))[0])


def has_attention(model: nn.Module) -> bool:
    """Whether a model has attention among all patches."""
    return isinstance(model, ViT | Linformer)


def _check(model: nn.Module) -> None:
    if not has_attention(model):
        raise UserError(
            f"{type(model).__name__} has no attention among all patches; attention maps are for "
            "ViT and Linformer"
        )


def _watched(
    model: Any, variables: Any, images: jax.Array, num_patches: int
) -> tuple[list[jax.Array], jax.Array]:
    """Weights [B, H, N, N] of each layer, and each token's share of what the head sees [B, N]."""
    found: list[jax.Array] = []
    shares = jnp.full((len(images), num_patches), 1 / num_patches)

    def watch(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        """Image [H, W, C] -> its maps."""
        nonlocal shares
        if isinstance(context.module, Attend) and context.method_name == "__call__":
            query, key, *_ = args
            found.append(_over_tokens(_softmax(query, key), context.module.path, variables))
        result = call(*args, **kwargs)
        if isinstance(context.module, AttentionPool) and context.method_name == "weights":
            shares = result
        return result

    with nn.intercept_methods(watch):
        model.apply(variables, images)
    num_tokens = found[0].shape[-1]
    if model.pool == "cls":
        return found, jnp.broadcast_to(jnp.eye(1, num_tokens), (len(images), num_tokens))
    return found, jnp.pad(shares, [(0, 0), (num_tokens - num_patches, 0)])


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


def pooled_maps(weights: Any, shares: Any, grid: tuple[int, int]) -> Any:
    """Weights [..., N, N] -> [..., R, C]: at which patches, the last tokens, the head looks.

    `shares` [N] says how much it sees of each token: the class token alone, or a mean of patches.
    """
    seen = (weights * shares[:, None]).sum(axis=-2)[..., -math.prod(grid) :]
    return seen.reshape(*seen.shape[:-1], *grid)


def attention_picture(
    name: str, caption: str, image: np.ndarray, heads: np.ndarray, rolled_out: np.ndarray
) -> Picture:
    """Draws an image, the last layer's mean map, the rollout, and every head of every layer.

    `image` is uint8 [H, W, C]; `heads` [L, heads, R, C] and `rolled_out` [R, C] are maps of its
    patches. Each map is scaled to its own maximum; `caption` says what the model takes it for.
    """
    num_layers, num_heads, rows, columns = heads.shape
    sheet = tiles(_scaled(heads).reshape(-1, rows, columns), num_heads)
    below = min(4.0 * sheet.shape[0] / sheet.shape[1], _LARGEST_MAP * num_layers)
    figure = new_figure(4.6, 2.1 + below)
    grid = figure.add_gridspec(2, 3, height_ratios=(1.5, below))
    picture = _resized(image.squeeze(), smooth=max(image.shape[:2]) > _PIXELS)
    picture = np.broadcast_to(picture.reshape(*picture.shape[:2], -1), (*picture.shape[:2], 3))
    image_axes(figure, grid[0, 0], picture, "image")
    last = f"layer {num_layers}, mean of heads"
    image_axes(figure, grid[0, 1], _under(heads[-1].mean(axis=0), picture), last)
    image_axes(figure, grid[0, 2], _under(rolled_out, picture), "rollout, all layers")
    axes = image_axes(figure, grid[1, :], sheet, cmap="inferno", vmin=0, vmax=1)
    centres = tile_centres(sheet.shape, (num_layers, num_heads))
    axes.set_yticks(centres[0], range(1, num_layers + 1), fontsize="x-small")
    axes.set_xticks(centres[1], range(1, num_heads + 1), fontsize="x-small")
    axes.set_ylabel("layer", fontsize="small")
    axes.set_xlabel("head", fontsize="small")
    axes.tick_params(length=0)
    alt = f"{caption}. The rollout is strongest {_place(rolled_out)}."
    return Picture(name, alt, figure)


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Returns maps [..., R, C] each divided by its maximum."""
    return maps / np.maximum(maps.max(axis=(-2, -1), keepdims=True), 1e-30)


def _under(values: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Lays a map [R, C], smoothly enlarged and coloured, over a picture uint8 [H, W, 3]."""
    from PIL import Image

    height, width, _ = picture.shape
    whole = Image.fromarray(values.astype(np.float32))
    heat = np.asarray(whole.resize((width, height), Image.Resampling.BILINEAR))
    return 0.6 * colored(_scaled(heat)) + 0.4 * picture / 255


def _resized(image: np.ndarray, *, smooth: bool) -> np.ndarray:
    """Returns an image, uint8, with a longer side of `_PIXELS`."""
    from PIL import Image

    height, width = image.shape[:2]
    factor = _PIXELS / max(height, width)
    kind = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(image).resize(size, kind))


def _place(values: np.ndarray) -> str:
    """Returns where a map [R, C] has its maximum, in words."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    return f"in row {row + 1} of {values.shape[0]}, column {column + 1} of {values.shape[1]}"


def attention_section(
    model: nn.Module,
    variables: Any,
    images: np.ndarray,
    inputs: np.ndarray,
    captions: Sequence[str],
) -> Section:
    """Attention on images uint8 [B, H, W, C], which the model sees as `inputs` [B, h, w, C]."""
    title = "Attention"
    if not has_attention(model):
        reason = _NO_MAPS.get(type(model), "this report does not know how it is built")
        return Section(title, [note(f"{type(model).__name__} has no attention maps: {reason}.")])
    if not len(inputs):
        return Section(title, [note("No images were chosen.")])
    maps = attention_on(model, variables, inputs)
    items: list[Any] = [note(_READING.format(query=_QUERIES[model.pool]))]
    if isinstance(model, Linformer):
        num_tokens = maps.rollout[0].size + (model.pool == "cls") + model.num_registers
        items.append(note(_LINFORMER.format(k=model.k_dim, n=num_tokens)))
    for i, caption in enumerate(captions):
        one = images[i], maps.heads[i], maps.rollout[i]
        items.append(attention_picture(f"attention_{i + 1:02}", caption, *one))
    return Section(title, items)
