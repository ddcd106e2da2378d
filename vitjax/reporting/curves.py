"""Figures of a run's epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitjax.reporting.figures import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    Figure,
    Picture,
    new_axes,
    new_figure,
)

Lines = Sequence[Mapping[str, Any]]  # of metrics.jsonl


def curves(lines: Lines, best_epoch: int) -> list[Picture]:
    """Returns loss, accuracy, learning rate and speed by epoch."""
    return [
        _train_and_valid(lines, "loss", best_epoch),
        _train_and_valid(lines, "accuracy", best_epoch),
        _one(lines, "lr", "learning rate", GREEN),
        _one(lines, "images_per_second", "training images per second", GRAY),
    ]


def _train_and_valid(lines: Lines, what: str, best_epoch: int) -> Picture:
    figure = new_figure(4.2, 2.9)
    axes = _epoch_axes(figure, what)
    ends = []
    for split, color in (("train", BLUE), ("valid", ORANGE)):
        values = [line[f"{split}_{what}"] for line in lines if f"{split}_{what}" in line]
        if values:
            axes.plot(*_by_epoch(lines, values), color=color, label=split, **_mark(lines))
            ends.append(f"{split} from {values[0]:.4g} to {values[-1]:.4g}")
    axes.axvline(best_epoch, color=GRAY, linestyle=":", label="epoch evaluated")
    axes.legend(frameon=False, fontsize="small")
    alt = f"{what.capitalize()} over {len(lines)} epochs: {', '.join(ends)}. "
    return Picture(f"curve_{what}", alt + f"Epoch {best_epoch} was evaluated.", figure)


def _one(lines: Lines, key: str, what: str, color: str) -> Picture:
    values = [line[key] for line in lines]
    figure = new_figure(4.2, 2.9)
    axes = _epoch_axes(figure, what)
    axes.plot(*_by_epoch(lines, values), color=color, **_mark(lines))
    low, high = min(values), max(values)
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * high or 1)
    values_said = f"between {low:.4g} and {high:.4g}" if low < high else f"constantly {low:.4g}"
    alt = f"{what.capitalize()} over {len(lines)} epochs: {values_said}."
    return Picture(f"curve_{key}", alt, figure)


def _by_epoch(lines: Lines, values: Sequence[float]) -> tuple[list[int], Sequence[float]]:
    return [line["epoch"] for line in lines], values


def _mark(lines: Lines) -> dict[str, Any]:
    """Returns a mark for each epoch where few would make an invisible line."""
    return {"marker": "o", "markersize": 4} if len(lines) <= 20 else {}


def _epoch_axes(figure: Figure, title: str) -> Any:
    axes = new_axes(figure, title=title, xlabel="epoch")
    axes.locator_params(axis="x", integer=True, nbins=8)
    return axes
