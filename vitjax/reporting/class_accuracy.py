"""A figure of the accuracy of each class."""

from collections.abc import Mapping
from typing import Any

from vitjax.reporting.figures import BLUE, GRAY, Picture, new_axes, new_figure

_MOST_BARS = 40  # beyond it, only the classes at both ends


def class_accuracy_picture(per_class: Mapping[str, Mapping[str, Any]], accuracy: float) -> Picture:
    """Draws the share of each class's images that are recognised, the lowest on top."""
    classes = sorted((values["recall"], name) for name, values in per_class.items())
    bars, cut = classes, ""
    if len(classes) > _MOST_BARS:
        half = _MOST_BARS // 2
        bars, cut = [*classes[:half], *classes[-half:]], f"the {half} lowest and {half} highest of "
    figure = new_figure(4.6, 1 + 0.17 * max(len(bars), 8))
    axes = new_axes(figure, xlabel=f"accuracy of {cut}{len(classes)} classes", xlim=(0, 1))
    axes.barh(range(len(bars)), [recall for recall, _ in bars], color=BLUE)
    axes.axvline(accuracy, color=GRAY, linestyle=":", label=f"all images: {accuracy:.2%}")
    axes.set_yticks(range(len(bars)), [name for _, name in bars], fontsize="small")
    axes.set_ylim(len(bars) - 0.4, -0.6)
    figure.legend(frameon=False, fontsize="small", loc="outside upper right")
    (low, worst), (high, best) = classes[0], classes[-1]
    alt = f"Accuracy by class: lowest {worst} with {low:.1%}, highest {best} with {high:.1%}."
    return Picture("class_accuracy", alt, figure)
