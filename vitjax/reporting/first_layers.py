"""What a trained model's first layers look for."""

import math
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from vitjax.models import VGG, Mixer, ResNet, Swin
from vitjax.models.classifier import PatchClassifier
from vitjax.reporting.attention_maps import patch_grid
from vitjax.reporting.drawing import image_axes, new_figure, tiles
from vitjax.reporting.page import Picture, Section, note

_MOST_FILTERS = 64
_MOST_COMPONENTS = 28  # as in Figure 7 of ViT (https://arxiv.org/abs/2010.11929)
_NO_POSITIONS: dict[type, str] = {
    ResNet: "convolutions know positions only from the borders",
    VGG: "its hidden layers have weights for each position",
    Swin: "a bias for each distance within a window stands in for them",
}


def stem_filters(stem: Any, channels: int) -> np.ndarray:
    """Returns a stem's kernel as images [D, P, P, C], whether it is stored linear or conv.

    `stem` are its parameters, of which kernels alone have more than one axis; of several
    convolutions, the first one's.
    """
    kernel = next(np.asarray(leaf) for leaf in jax.tree.leaves(stem) if leaf.ndim > 1)
    size = math.isqrt(kernel.size // kernel.shape[-1] // channels)
    return np.moveaxis(kernel.reshape(size, size, channels, -1), -1, 0)


def principal_components(filters: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Filters [D, ...] -> the `limit` main ones [n, ...], and the share of variance of each [n]."""
    flat = filters.reshape(len(filters), -1)
    _, sizes, components = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-30)
    return components[:limit].reshape(-1, *filters.shape[1:]), shares[:limit]


def filter_pictures(filters: np.ndarray) -> list[Picture]:
    """Draws the largest filters [D, P, P, C], and the principal components of all."""
    norms = np.linalg.norm(filters.reshape(len(filters), -1), axis=1)
    largest = filters[np.argsort(-norms, kind="stable")[:_MOST_FILTERS]]
    size = "x".join(map(str, filters.shape[1:3]))
    shown = f"The {len(largest)} largest of" if len(largest) < len(filters) else "All of"
    alt = f"{shown} the stem's {len(filters)} filters of {size} pixels, each scaled by itself."
    pictures = [Picture("patch_filters", alt, _sheet(largest, 8))]
    components, shares = principal_components(filters, _MOST_COMPONENTS)
    alt = (
        f"The first {len(components)} principal components of the stem's {len(filters)} filters; "
        f"together {shares.sum():.0%} of their variance, the first alone {shares[0]:.0%}."
    )
    return [*pictures, Picture("patch_filter_components", alt, _sheet(components, 7))]


def _sheet(filters: np.ndarray, columns: int) -> Any:
    """Draws filters [n, P, P, C] with 0 as mid-gray."""
    size = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    images = 0.5 + 0.5 * filters / np.maximum(size, 1e-30)
    if images.shape[-1] == 3:  # opaque, on a clear sheet
        images = np.concatenate([images, np.ones_like(images[..., :1])], axis=-1)
        sheet = np.nan_to_num(tiles(images, columns))
    else:
        sheet = tiles(images.mean(axis=-1), columns)
    return _figure(sheet, cmap="gray", vmin=0, vmax=1)


def position_similarity(embedding: np.ndarray, num_patches: int) -> np.ndarray:
    """Position embeddings [1, N, D] -> cosines between those of patches [num_patches, same].

    A class token's embedding, which comes first, is left out.
    """
    patches = np.asarray(embedding)[0, -num_patches:]
    unit = patches / np.maximum(np.linalg.norm(patches, axis=1, keepdims=True), 1e-30)
    return unit @ unit.T


def position_picture(similarity: np.ndarray, grid: tuple[int, int]) -> Picture:
    """Draws one map for each position of the grid, laid out as the grid is."""
    rows, columns = grid
    sheet = tiles(similarity.reshape(-1, rows, columns), columns)
    figure = _figure(sheet, cmap="RdBu_r", vmin=-1, vmax=1)
    (axes,) = figure.axes
    figure.colorbar(axes.images[0], ax=axes, location="bottom", label="cosine similarity")
    alt = f"Similarity of the position embeddings of {rows}x{columns} patches"
    return Picture("position_similarity", f"{alt}{_means(similarity, grid)}.", figure)


def _means(similarity: np.ndarray, grid: tuple[int, int]) -> str:
    """Says the mean similarity of patches that share an edge, and of all other pairs, if any."""
    places = np.argwhere(np.ones(grid))
    distance = np.abs(places[:, None] - places).sum(axis=2)
    near, far = similarity[distance == 1], similarity[distance > 1]
    means = [
        f"{values.mean():z.2f} {where}"
        for values, where in ((near, "between neighbours"), (far, "between all others"))
        if values.size
    ]
    return f": on average {' and '.join(means)}" if means else ""


def token_mixing_pictures(params: Any, grid: tuple[int, int]) -> list[Picture]:
    """Draws what the hidden units of a Mixer's first and last token MLP read off the patches."""
    blocks = sorted(params["encoder"], key=lambda name: int(name.rsplit("_", 1)[1]))
    ends = dict.fromkeys((blocks[0], blocks[-1]))
    kernels = {name: params["encoder"][name]["mixer"]["mlp"]["in"]["kernel"] for name in ends}
    return [_token_mixing(np.asarray(kernel), name, grid) for name, kernel in kernels.items()]


def _token_mixing(kernel: np.ndarray, block: str, grid: tuple[int, int]) -> Picture:
    """Draws the largest columns of a token MLP's first kernel [N, hidden] as maps of the grid."""
    units = kernel[-grid[0] * grid[1] :].T.reshape(-1, *grid)  # without a class token
    norms = np.linalg.norm(units.reshape(len(units), -1), axis=1)
    largest = units[np.argsort(-norms, kind="stable")[:_MOST_FILTERS]]
    largest = largest / np.maximum(np.abs(largest).max(axis=(1, 2), keepdims=True), 1e-30)
    figure = _figure(tiles(largest, 8), cmap="RdBu_r", vmin=-1, vmax=1)
    alt = (
        f"Token-mixing weights of {block}: the {len(largest)} largest of its {len(units)} hidden "
        f"units, each a map of {grid[0]}x{grid[1]} patches; red adds, blue subtracts."
    )
    return Picture(f"token_mixing_{block}", alt, figure)


def _figure(sheet: np.ndarray, **options: Any) -> Any:
    figure = new_figure(4.2, 4.2 * sheet.shape[0] / sheet.shape[1])
    image_axes(figure, 111, sheet, **options)
    return figure


def first_layers_section(model: nn.Module, params: Any, image_shape: tuple[int, ...]) -> Section:
    """Patch filters, position embeddings, and a Mixer's token-mixing weights."""
    pictures = []
    stem = params["stage_0"]["conv_0"] if isinstance(model, VGG) else params.get("stem")
    if stem:
        pictures += filter_pictures(stem_filters(stem, image_shape[-1]))
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
        reason = _NO_POSITIONS.get(type(model), "this report does not know how it is built")
    notes = [] if learned == "learned" else [note(f"No learned position embeddings: {reason}.")]
    return Section("First layers", [*pictures, *notes])
