"""Sections on what a model has learned: where it looks, and its first layers' weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from flax import linen as nn

from vitjax.models import Linformer, Mixer, ResNet, Swin, ViT
from vitjax.models.classifier import PatchClassifier
from vitjax.reporting.attention import attention_maps, patch_grid
from vitjax.reporting.attention_figure import attention_figure
from vitjax.reporting.figures import Picture
from vitjax.reporting.page import Section, note
from vitjax.reporting.weights import (
    filter_pictures,
    position_picture,
    position_similarity,
    stem_filters,
    token_mixing_pictures,
)

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
_NO_MAPS: dict[type, str] = {
    Mixer: "its token MLPs mix patches alike for every image; see their weights below",
    ResNet: "its convolutions mix neighbouring pixels alike for every image",
    Swin: "it attends within windows, so that no token looks at the whole image",
}
_NO_POSITIONS: dict[type, str] = {
    ResNet: "convolutions know positions only from the borders",
    Swin: "a bias for each distance within a window stands in for them",
}
_UNKNOWN = "this report does not know how it is built"


def attention_section(
    model: nn.Module,
    variables: Any,
    images: np.ndarray,
    inputs: np.ndarray,
    captions: Sequence[str],
) -> Section:
    """Attention on images uint8 [B, H, W, C], which the model sees as `inputs` [B, h, w, C]."""
    title = "Attention"
    if not isinstance(model, ViT | Linformer):
        reason = _NO_MAPS.get(type(model), _UNKNOWN)
        return Section(title, [note(f"{type(model).__name__} has no attention maps: {reason}.")])
    if not len(inputs):
        return Section(title, [note("No images were chosen.")])
    maps = attention_maps(model, variables, inputs)
    query = "the class token" if model.pool == "cls" else "all tokens, averaged as the head does"
    items: list[Any] = [note(_READING.format(query=query))]
    if isinstance(model, Linformer):
        num_tokens = maps.rollout[0].size + (model.pool == "cls")
        items.append(note(_LINFORMER.format(k=model.k_dim, n=num_tokens)))
    for i, caption in enumerate(captions):
        figure = attention_figure(images[i], maps.heads[i], maps.rollout[i])
        alt = f"{caption}. The rollout is strongest {_place(maps.rollout[i])}."
        items.append(Picture(f"attention_{i + 1:02}", alt, figure))
    return Section(title, items)


def _place(values: np.ndarray) -> str:
    """Returns where a map [R, C] has its maximum, in words."""
    row, column = np.unravel_index(values.argmax(), values.shape)
    return f"in row {row + 1} of {values.shape[0]}, column {column + 1} of {values.shape[1]}"


def weights_section(model: nn.Module, params: Any, image_shape: tuple[int, ...]) -> Section:
    """Patch filters, position embeddings, and a Mixer's token-mixing weights."""
    pictures = []
    if "stem" in params:
        pictures += filter_pictures(stem_filters(params["stem"], image_shape[-1]))
    learned = getattr(model, "position_embedding", None)
    reason = f"config.model.position_embedding is {learned!r}"
    if isinstance(model, PatchClassifier):
        grid = patch_grid(model, image_shape[:2])
        if learned == "learned":
            similarity = position_similarity(params["position_embedding"], grid[0] * grid[1])
            pictures.append(position_picture(similarity, grid))
        if isinstance(model, Mixer):
            pictures += token_mixing_pictures(params, grid)
    else:
        reason = _NO_POSITIONS.get(type(model), _UNKNOWN)
    notes = [] if learned == "learned" else [note(f"No learned position embeddings: {reason}.")]
    return Section("First layers", [*pictures, *notes])
