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


def _tokens(table: np.ndarray, new: tuple[int, int], has_class_token: bool) -> np.ndarray | None:
    """Resizes rows of tokens [N, D] to those of the grid `new`; None if N has no square grid.

    With `has_class_token` the first row is the class token's and stays.
    """
    extra = int(has_class_token)
    side = math.isqrt(len(table) - extra)
    if side < 1 or side**2 != len(table) - extra:
        return None
    return np.concatenate([table[:extra], _grid(table[extra:], (side, side), new)])


def position_embedding(
    table: np.ndarray, new: tuple[int, int], has_class_token: bool
) -> np.ndarray | None:
    """Resizes positions [1, N, D] for tokens of the grid `new`; None for another first axis."""
    resized = _tokens(table[0], new, has_class_token) if len(table) == 1 else None
    return None if resized is None else resized[None]


def length_projection(
    table: np.ndarray, new: tuple[int, int], has_class_token: bool
) -> np.ndarray | None:
    """Resizes a Linformer's projection [N, k] of N tokens for those of the grid `new`.

    It sums over tokens: the weights of the patches shrink as the patches grow in number.
    """
    resized = _tokens(table, new, has_class_token)
    if resized is None:
        return None
    extra = int(has_class_token)
    resized[extra:] *= (len(table) - extra) / (len(resized) - extra)
    return resized


def relative_positions(table: np.ndarray, num_rows: int) -> np.ndarray | None:
    """Resizes a Swin's biases [(2 w - 1)^2, heads] for another window; None if not square."""
    old, new = math.isqrt(len(table)), math.isqrt(num_rows)
    if old**2 != len(table) or new**2 != num_rows:
        return None
    return _grid(table, (old, old), (new, new))
