"""A figure of how far a model's probabilities can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitjax.reporting.figures import BLUE, GRAY, Picture, new_axes, new_figure


def reliability_picture(bins: Sequence[Mapping[str, Any]], ece: float) -> Picture:
    """Draws accuracy against confidence, bin by bin, over how many images each bin holds.

    `bins` are equally wide and hold "confidence" and "accuracy" (means) and "count".
    """
    width = 1 / len(bins)
    middles = [(i + 0.5) * width for i in range(len(bins))]
    filled = [b for b in bins if b["count"]]
    figure = new_figure(4.2, 4.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    axes = new_axes(figure, grid[0], ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.bar(middles, [b["accuracy"] or 0 for b in bins], width * 0.92, color=BLUE, alpha=0.5)
    points = [[b[key] for b in filled] for key in ("confidence", "accuracy")]
    axes.plot(*points, "o-", color=BLUE, markersize=4, label="measured")
    axes.plot((0, 1), (0, 1), "--", color=GRAY, label="ideal")
    figure.legend(frameon=False, fontsize="small", loc="outside upper left", ncols=2)
    counts = new_axes(figure, grid[1], xlabel="probability of the predicted class", xlim=(0, 1))
    counts.bar(middles, [b["count"] for b in bins], width * 0.92, color=GRAY)
    counts.set_ylabel("images")
    counts.set_yscale("log")
    counts.yaxis.set_major_formatter("{x:,g}")
    counts.minorticks_off()
    counts.set_ylim(bottom=0.7)
    gap = sum(b["count"] * (b["confidence"] - b["accuracy"]) for b in filled)
    side = "above" if gap > 0 else "below"
    alt = f"Reliability diagram: probabilities lie on average {side} the accuracy; ECE {ece:.3f}."
    return Picture("reliability", alt, figure)
