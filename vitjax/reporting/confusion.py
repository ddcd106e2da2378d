"""Which classes are taken for which."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vitjax.reporting.drawing import BLUE, image_axes, new_figure, rgb, shortened
from vitjax.reporting.page import Picture, Section, html_table, note

_MOST_NUMBERS = 20  # classes, beyond which cells are too small for their counts
_MOST_NAMES = 120
_MOST_PAIRS = 10


class Confusion(NamedTuple):
    """One cell off the diagonal."""

    truth: str
    predicted: str
    num_images: int
    share: float  # of the images of that truth


def most_confused(matrix: np.ndarray, names: Sequence[str], limit: int) -> list[Confusion]:
    """Returns the largest cells off the diagonal of counts [K, K], rows being truths."""
    errors = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    totals = matrix.sum(axis=1)
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    cells = [divmod(int(i), len(matrix)) for i in order]
    return [
        Confusion(names[t], names[p], int(matrix[t, p]), float(matrix[t, p] / totals[t]))
        for t, p in cells
        if errors[t, p]
    ]


def confusion_picture(matrix: np.ndarray, names: Sequence[str]) -> Picture:
    """Draws counts [K, K], rows being truths, each cell as its share of the row."""
    num_classes = len(names)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    cells = np.empty((*matrix.shape, 4), np.float32)
    cells[..., :3], cells[..., 3] = rgb(BLUE), np.sqrt(share)  # the root, so that few are seen
    size = float(np.clip(1 + 0.42 * num_classes, 4.2, 11.5))
    figure = new_figure(size, size)
    axes = image_axes(figure, 111, cells)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.spines[:].set_visible(True)
    if num_classes <= _MOST_NAMES:
        _name_classes(axes, names)
    if num_classes <= _MOST_NUMBERS:
        for truth, predicted in np.argwhere(matrix):
            count = f"{matrix[truth, predicted]:,}"
            axes.text(predicted, truth, count, ha="center", va="center", fontsize="small")
    return Picture("confusion_matrix", _finding(matrix, names), figure)


def _name_classes(axes: Any, names: Sequence[str]) -> None:
    labels = list(map(shortened, names))
    size = float(np.clip(630 / len(names), 4, 10))  # points, so that neighbours do not touch
    long = len(names) > _MOST_NUMBERS or max(map(len, names)) > 4
    turn = {"rotation": 90, "ha": "center"} if long else {}
    axes.set_xticks(range(len(names)), labels, fontsize=size, **turn)
    axes.set_yticks(range(len(names)), labels, fontsize=size)
    if len(names) > _MOST_NUMBERS:
        axes.grid(linewidth=0.2, alpha=0.5)


def _finding(matrix: np.ndarray, names: Sequence[str]) -> str:
    right, total = int(np.trace(matrix)), int(matrix.sum())
    text = f"Confusion of {len(names)} classes: {right:,} of {total:,} images on the diagonal"
    for worst in most_confused(matrix, names, 1):
        share = f"{worst.num_images:,}, {worst.share:.1%} of that class"
        text += f"; most often, {worst.truth} was taken for {worst.predicted} ({share})"
    return text + "."


def confusion_section(matrix: np.ndarray, names: Sequence[str]) -> Section:
    """The confusion matrix [K, K], and its largest cells off the diagonal in words."""
    pairs = most_confused(matrix, names, _MOST_PAIRS)
    intro = (
        "Rows are true classes, columns predictions; the deeper the blue, the larger the share of "
        "the row (by its square root, so that rare confusions show)."
    )
    rows = [(p.truth, p.predicted, f"{p.num_images:,}", f"{p.share:.1%}") for p in pairs]
    head = ("truth", "taken for", "images", "share of that truth")
    words = (
        html_table("The most frequent confusions", head, rows) if pairs else note("No confusions.")
    )
    return Section("Confusion matrix", [note(intro), confusion_picture(matrix, names), words])
