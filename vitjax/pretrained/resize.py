"""Weights whose shape depends on the image or window size, for another one."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def _grid(table: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Resizes a map of rows [h * w, D] to [H * W, D], bicubically, smoothed where it shrinks."""
    grid = jnp.asarray(table, jnp.float32).reshape(*old, -1)
    resized = jax.image.resize(grid, (*new, grid.shape[-1]), "cubic", antialias=True)
    return np.asarray(resized.reshape(math.prod(new), -1))


def _tokens(table: np.ndarray, new: tuple[int, int], num_others: int) -> np.ndarray | None:
    """Resizes rows of tokens [N, D] to those of the grid `new`; None if N has no square grid.

    The first `num_others` rows, of a class token and registers, stay.
    """
    num_patches = max(len(table) - num_others, 0)
    side = math.isqrt(num_patches)
    if side < 1 or side**2 != num_patches:
        return None
    return np.concatenate([table[:num_others], _grid(table[num_others:], (side, side), new)])


def position_embedding(
    table: np.ndarray, new: tuple[int, int], num_others: int
) -> np.ndarray | None:
    """Resizes positions [1, N, D] for tokens of the grid `new`; None for another first axis."""
    resized = _tokens(table[0], new, num_others) if len(table) == 1 else None
    return None if resized is None else resized[None]


def length_projection(
    table: np.ndarray, new: tuple[int, int], num_others: int
) -> np.ndarray | None:
    """Resizes a Linformer's projection [N, k] of N tokens for those of the grid `new`.

    It sums over tokens: the weights of the patches shrink as the patches grow in number.
    """
    resized = _tokens(table, new, num_others)
    if resized is None:
        return None
    resized[num_others:] *= (len(table) - num_others) / (len(resized) - num_others)
    return resized


def relative_positions(
    table: np.ndarray, num_rows: int, window: tuple[int, int]
) -> tuple[str, np.ndarray] | None:
    """Makes a Swin's biases [(2 w - 1)^2, heads] fit a model's table of `num_rows`.

    `window` is what the model's windows are on its map. A table that has all their offsets keeps
    their biases: one larger than the model's is cut, a smaller one lies amid zeros that no offset
    meets. Any other is resized to them. Returns what was done, with {} for what it was done to,
    and the table; None for a table that is not square, unless it is of `window`.
    """
    of_window, new, old = [2 * n - 1 for n in window], math.isqrt(num_rows), math.isqrt(len(table))
    extents = of_window if len(table) == math.prod(of_window) else [old, old]
    if math.prod(extents) != len(table) or new**2 != num_rows:
        return None
    text = "cut {} to the offsets of the window" if old > new else "centred {} in the model's table"
    if min(extents) < min(of_window) or max(extents) < max(of_window):
        text = "resized {}"
        table, extents = _grid(table, (old, old), (of_window[0], of_window[1])), of_window
    return text, _centred(table.reshape(*extents, -1), new).reshape(num_rows, -1)


def _centred(grid: np.ndarray, side: int) -> np.ndarray:
    """Cuts or pads a map [h, w, D] with zeros, alike at opposite edges, to [side, side, D]."""
    inside = tuple(slice(max((n - side) // 2, 0), (n + side + 1) // 2) for n in grid.shape[:2])
    cut = grid[inside]
    margins = [((side - n) // 2, (side - n) // 2) for n in cut.shape[:2]]
    return np.pad(cut, [*margins, (0, 0)])
