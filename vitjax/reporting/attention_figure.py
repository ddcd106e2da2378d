"""A figure of where a model looks on one image."""

from typing import Any

import numpy as np

from vitjax.reporting.figures import colored, image_axes, new_figure, tile_centres, tiles

_PIXELS = 112  # the longer side of each picture with a map over it
_LARGEST_MAP = 1.2  # inches, of a head's map where heads are few


def attention_figure(image: np.ndarray, heads: np.ndarray, rollout: np.ndarray) -> Any:
    """Draws an image, the last layer's mean map, the rollout, and every head of every layer.

    `image` is uint8 [H, W, C]; `heads` [L, heads, R, C] and `rollout` [R, C] are maps of its
    patches. Each map is scaled to its own maximum.
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
    image_axes(figure, grid[0, 2], _under(rollout, picture), "rollout, all layers")
    axes = image_axes(figure, grid[1, :], sheet, cmap="inferno", vmin=0, vmax=1)
    centres = tile_centres(sheet.shape, (num_layers, num_heads))
    axes.set_yticks(centres[0], range(1, num_layers + 1), fontsize="x-small")
    axes.set_xticks(centres[1], range(1, num_heads + 1), fontsize="x-small")
    axes.set_ylabel("layer", fontsize="small")
    axes.set_xlabel("head", fontsize="small")
    axes.tick_params(length=0)
    return figure


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
