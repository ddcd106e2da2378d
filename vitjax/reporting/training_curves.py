"""How training went, epoch by epoch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vitjax.reporting.drawing import BLUE, GRAY, GREEN, ORANGE, new_axes, new_figure
from vitjax.reporting.page import Picture, Section, note

if TYPE_CHECKING:
    from vitjax.reporting.drawing import Figure

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
    axes = epoch_axes(figure, what, lines)
    ends = []
    for split, color in (("train", BLUE), ("valid", ORANGE)):
        values = [line[f"{split}_{what}"] for line in lines if f"{split}_{what}" in line]
        if values:
            axes.plot(*_by_epoch(lines, values), color=color, label=split, **mark(lines))
            ends.append(f"{split} {_course(values)}")
    axes.axvline(best_epoch, color=GRAY, linestyle=":", label="epoch evaluated")
    axes.legend(frameon=False, fontsize="small")
    alt = f"{what.capitalize()} over {_epochs(lines)}: {', '.join(ends)}. "
    return Picture(f"curve_{what}", alt + f"Epoch {best_epoch} was evaluated.", figure)


def _one(lines: Lines, key: str, what: str, color: str) -> Picture:
    values = [line[key] for line in lines]
    figure = new_figure(4.2, 2.9)
    axes = epoch_axes(figure, what, lines)
    axes.plot(*_by_epoch(lines, values), color=color, **mark(lines))
    low, high = min(values), max(values)
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * high or 1)
    course = f"between {low:.4g} and {high:.4g}" if low < high else f"constantly {low:.4g}"
    alt = f"{what.capitalize()} over {_epochs(lines)}: {course}."
    return Picture(f"curve_{key}", alt, figure)


def _epochs(lines: Lines) -> str:
    return f"{len(lines)} epochs" if len(lines) > 1 else "1 epoch"


def _course(values: Sequence[float]) -> str:
    first, last = f"{values[0]:.4g}", f"{values[-1]:.4g}"
    return f"from {first} to {last}" if len(values) > 1 else first


def _by_epoch(lines: Lines, values: Sequence[float]) -> tuple[list[int], Sequence[float]]:
    return [line["epoch"] for line in lines], values


def mark(lines: Lines) -> dict[str, Any]:
    """Returns a mark for each epoch where few would make an invisible line."""
    return {"marker": "o", "markersize": 4} if len(lines) <= 20 else {}


def epoch_axes(figure: "Figure", title: str, lines: Lines, where: Any = 111) -> Any:
    """Returns axes for values of these epochs."""
    axes = new_axes(figure, where, title, xlabel="epoch")
    if len(lines) == 1:
        axes.set_xticks([lines[0]["epoch"]])
    else:
        axes.locator_params(axis="x", integer=True, nbins=8)
    return axes


def training_section(lines: Lines, best_epoch: int) -> Section:
    """The curves of metrics.jsonl's lines."""
    if not lines:
        return Section("Training", [note("No curves: the run's folder holds no metrics.jsonl.")])
    items: list[Any] = list(curves(lines, best_epoch))
    if "valid_loss" not in lines[0]:
        items.insert(0, note("No validation split, so the last epoch was evaluated."))
    return Section("Training", items)
