"""A figure of where one model is better than another."""

from collections.abc import Sequence

from vitjax.reporting.comparison import Group
from vitjax.reporting.figures import BLUE, ORANGE, Figure, new_axes, new_figure


def comparison_figure(panels: Sequence[tuple[str, str, str, Sequence[Group]]]) -> Figure:
    """Draws, for each (first, second, what, groups), both accuracies in each group."""
    rows = [len(groups) + 3 for *_, groups in panels]
    figure = new_figure(7, 0.23 * sum(rows))
    grid = figure.add_gridspec(len(panels), 1, height_ratios=rows)
    for place, (first, second, what, groups) in enumerate(panels):
        axes = new_axes(figure, grid[place], xlabel="accuracy", ylabel=what)
        heights = range(len(groups))
        for group, height in zip(groups, heights, strict=True):
            color = BLUE if group.second >= group.first else ORANGE
            axes.plot((group.first, group.second), (height, height), color=color, linewidth=2)
        left = [group.first for group in groups]
        right = [group.second for group in groups]
        axes.plot(left, heights, "o", color="black", markerfacecolor="white", label=first)
        axes.plot(right, heights, "o", color="black", label=second)
        axes.set_yticks(heights, [f"{g.name} ({g.num_images:,})" for g in groups], fontsize="small")
        axes.invert_yaxis()
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
        axes.legend(frameon=False, fontsize="small", ncols=2, **above)
    return figure
