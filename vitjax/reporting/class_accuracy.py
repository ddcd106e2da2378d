"""A figure of the accuracy of each class."""

from collections.abc import Mapping
from typing import Any

from vitjax.reporting.figures import BLUE, GRAY, Picture, new_axes, new_figure

_MOST_ROWS = 40  # beyond these, only the classes at both ends


def class_accuracy_picture(per_class: Mapping[str, Mapping[str, Any]], accuracy: float) -> Picture:
    """Draws the share of each class's images that are recognised, the lowest on top."""
    classes = sorted((v["recall"], name) for name, v in per_class.items() if v["support"])
    rows, cut = classes, ""
    if len(classes) > _MOST_ROWS:
        half = _MOST_ROWS // 2
        rows, cut = [*classes[:half], *classes[-half:]], f"the {half} lowest and {half} highest of "
    figure = new_figure(4.6, 1 + 0.17 * max(len(rows), 8))
    axes = new_axes(figure, xlabel=f"accuracy of {cut}{len(classes)} classes")
    axes.plot([recall for recall, _ in rows], range(len(rows)), "o", color=BLUE)
    axes.axvline(accuracy, color=GRAY, linestyle=":", label=f"all images: {accuracy:.2%}")
    axes.set_yticks(range(len(rows)), [name for _, name in rows], fontsize="small")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    figure.legend(frameon=False, fontsize="small", loc="outside upper right")
    (low, worst), (high, best) = classes[0], classes[-1]
    alt = f"Accuracy by class: lowest {worst} with {low:.1%}, highest {best} with {high:.1%}."
    return Picture("class_accuracy", alt, figure)
