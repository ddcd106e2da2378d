"""Weights whose shape depends on the image or window size, for another one."""

import math

import jax
import jax.numpy as jnp
import numpy as np

Size = tuple[int, int]  # height, width


def _grid(table: np.ndarray, old: Size, new: Size) -> np.ndarray:
    """Resizes a map of rows [h * w, D] to [H * W, D], bicubically, smoothed where it shrinks."""
    grid = jnp.asarray(table, jnp.float32).reshape(*old, -1)
    resized = jax.image.resize(grid, (*new, grid.shape[-1]), "cubic", antialias=True)
    return np.asarray(resized.reshape(math.prod(new), -1))


def grid_of(num_patches: int, here: Size, known: Size | None) -> Size | None:
    """Returns the grid that a table's rows of patches are of.

    The `known` one if it has as many tokens, else the model's own, else the square; None for none.
    """
    side = math.isqrt(max(num_patches, 0))
    grids = [known] if known is not None else []
    grids += [here, (side, side)]
    return next((grid for grid in grids if 0 < math.prod(grid) == num_patches), None)


def _tokens(table: np.ndarray, old: Size, new: Size, num_others: int) -> np.ndarray:
    """Resizes rows of tokens [N, D], but for the first `num_others`: a class token, registers."""
    return np.concatenate([table[:num_others], _grid(table[num_others:], old, new)])


def position_embedding(table: np.ndarray, old: Size, new: Size, num_others: int) -> np.ndarray:
    """Resizes positions [1, N, D] of tokens of the grid `old` for those of `new`."""
    return _tokens(table[0], old, new, num_others)[None]


def length_projection(table: np.ndarray, old: Size, new: Size, num_others: int) -> np.ndarray:
    """Resizes a Linformer's projection [N, k] of tokens of the grid `old` for those of `new`.

    It sums over tokens: the weights of the patches shrink as the patches grow in number.
    """
    resized = _tokens(table, old, new, num_others)
    resized[num_others:] *= math.prod(old) / math.prod(new)
    return resized


def relative_positions(
    table: np.ndarray, num_rows: int, window: Size
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
