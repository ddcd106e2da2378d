"""Whether one model is better than another on the same examples, and where."""

import dataclasses
import html
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vitjax.errors import UserError
from vitjax.reporting.drawing import BLUE, GRAY, ORANGE, new_axes, new_figure, shortened
from vitjax.reporting.page import Picture
from vitjax.reporting.predictions import Predictions
from vitjax.text import table

_RESAMPLES = 10_000
_NUM_BINS = 5  # of a numeric column with more values
_MAX_GROUPS = 100  # of a column of names
_MISSING = ("", "na", "n/a", "nan", "null", "none", "-")  # among numbers
_ONE_LINE = 60  # characters of two names that stand side by side above a figure


class Side(NamedTuple):
    """One or several runs (seeds) of one kind."""

    name: str
    accuracies: np.ndarray  # [R], of each run
    correct: np.ndarray  # float [N], share of the runs that are right on each example


class Difference(NamedTuple):
    """How much better the second side is than the first, with 95 % intervals."""

    accuracy: float
    bootstrap: tuple[float, float] | None  # over examples; None for one alone
    only_first: int | None  # examples that only the first has right; None for several runs
    only_second: int | None
    p_value: float | None  # of McNemar's exact test, two-sided
    welch: tuple[float, float] | None  # over runs; None without two runs a side


class ExampleGroup(NamedTuple):
    """Some of the examples, and both accuracies on them."""

    name: str
    num_images: int
    first: float
    second: float


class Grouping(NamedTuple):
    """Which group each example is in."""

    name: str  # what examples are grouped by
    places: np.ndarray  # int [N], in `groups`; -1 for none
    groups: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two sides beside each other; prints as text, and a notebook shows its picture too."""

    first: Side
    second: Side
    difference: Difference
    groups: Mapping[str, Sequence[ExampleGroup]]  # by the name of what examples are grouped by

    def __str__(self) -> str:
        return comparison_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>{self.picture()._repr_html_()}"

    def picture(self) -> Picture:
        """Draws both accuracies in each group."""
        return comparison_picture([self])


def compare_pair(first: Side, second: Side, groupings: Sequence[Grouping]) -> Comparison:
    """Compares two sides in all, and in the groups of each grouping."""
    found = {each.name: group_accuracies(first, second, each) for each in groupings}
    return Comparison(first, second, difference(first, second), found)


def by_class(predictions: Predictions) -> Grouping:
    """Returns the examples grouped by their classes."""
    return Grouping("class", predictions.labels, predictions.class_names)


def side(name: str, runs: Sequence[Predictions]) -> Side:
    """Puts the runs of one kind together."""
    correct = np.stack([run.predicted == run.labels for run in runs])
    return Side(name, correct.mean(axis=1), correct.mean(axis=0))


def check_same(names: Sequence[str], runs: Sequence[Predictions]) -> None:
    """Raises UserError unless all runs predicted the same examples of the same classes."""
    first = runs[0]
    for name, run in zip(names[1:], runs[1:], strict=True):
        for what in ("class_names", "ids", "labels"):
            if not np.array_equal(getattr(first, what), getattr(run, what)):
                raise UserError(
                    f"{names[0]} and {name} were not evaluated on the same examples: their {what} "
                    "differ; compare runs on the same data, evaluated with the same options"
                )


def difference(first: Side, second: Side) -> Difference:
    """Compares two sides example by example and, with several runs each, run by run."""
    several = len(first.accuracies) > 1 or len(second.accuracies) > 1
    gain = second.correct - first.correct
    worse, better = int((gain < 0).sum()), int((gain > 0).sum())
    both = min(len(first.accuracies), len(second.accuracies)) > 1
    return Difference(
        accuracy=float(gain.mean()),
        bootstrap=bootstrap_interval(gain) if len(gain) > 1 else None,
        only_first=None if several else worse,
        only_second=None if several else better,
        p_value=None if several else mcnemar(worse, better),
        welch=welch_interval(first.accuracies, second.accuracies) if both else None,
    )


def bootstrap_interval(gain: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % percentile interval of the mean of paired differences [N], N > 1."""
    from scipy import stats

    few = 100  # resamples at a time, which bounds the memory
    found = stats.bootstrap(
        (gain,), np.mean, n_resamples=_RESAMPLES, batch=few, method="percentile", rng=seed
    )
    low, high = found.confidence_interval
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p of McNemar's exact test on examples that one alone has right."""
    from scipy import stats

    total = only_first + only_second
    return float(stats.binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def welch_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of mean(second) - mean(first), variances not taken as equal."""
    from scipy import stats

    if np.ptp(first) == np.ptp(second) == 0:  # 0 / 0 in the t statistic
        gain = float(second.mean() - first.mean())
        return gain, gain
    low, high = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    return float(low), float(high)


def group_accuracies(first: Side, second: Side, grouping: Grouping) -> list[ExampleGroup]:
    """Returns both accuracies in each group that has examples."""
    found = []
    for place, name in enumerate(grouping.groups):
        inside = grouping.places == place
        if inside.any():
            accuracies = [float(x.correct[inside].mean()) for x in (first, second)]
            found.append(ExampleGroup(name, int(inside.sum()), *accuracies))
    return found


def binned(texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Returns the group of each value [N], -1 for none, and the groups' names.

    Numbers of more than five values are cut into five groups of about equal size. Raises UserError
    for names that make too many groups.
    """
    try:
        numbers = np.array(
            [np.nan if text.strip().lower() in _MISSING else float(text) for text in texts]
        )
    except ValueError as error:
        known = sorted({text for text in texts if text})
        if len(known) > _MAX_GROUPS:
            raise UserError(
                f"the column has {len(known):,} different values that are not all numbers ({error})"
                f"; choose a --column of numbers, or of at most {_MAX_GROUPS} names"
            ) from error
        return np.array([known.index(text) if text else -1 for text in texts]), known
    there = np.isfinite(numbers)
    distinct = np.unique(numbers[there])
    if len(distinct) <= _NUM_BINS:
        places = np.where(there, np.searchsorted(distinct, numbers), -1)
        return places, _told_apart(distinct, 6)
    edges = np.unique(np.quantile(numbers[there], np.linspace(0, 1, _NUM_BINS + 1)))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    names = [f"{low} to {high}" for low, high in itertools.pairwise(_told_apart(edges, 4))]
    return np.where(there, places, -1), names


def _told_apart(numbers: np.ndarray, digits: int) -> list[str]:
    """Returns different numbers as texts of so many digits, or more where two would be the same."""
    texts = [f"{number:.{digits}g}" for number in numbers]
    return texts if len(set(texts)) == len(texts) else _told_apart(numbers, digits + 1)


def comparison_picture(comparisons: Sequence[Comparison]) -> Picture:
    """Draws both accuracies in each group, a panel for each comparison and grouping."""
    panels = [(c, *grouped) for c in comparisons for grouped in c.groups.items()]
    rows = [len(groups) + 4 for *_, groups in panels]
    figure = new_figure(7, 0.23 * sum(rows))
    grid = figure.add_gridspec(len(panels), 1, height_ratios=rows)
    for place, (comparison, what, groups) in enumerate(panels):
        axes = new_axes(figure, grid[place], xlabel="accuracy", ylabel=what)
        heights = range(len(groups))
        for group, height in zip(groups, heights, strict=True):
            color = BLUE if group.second >= group.first else ORANGE
            axes.plot((group.first, group.second), (height, height), color=color, linewidth=2)
        names = [shortened(side.name) for side in (comparison.first, comparison.second)]
        ring = {"color": GRAY, "markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.5}
        axes.plot([g.first for g in groups], heights, "o", **ring, label=names[0])
        axes.plot(
            [g.second for g in groups], heights, "o", color="black", markersize=5, label=names[1]
        )
        labels = [f"{shortened(g.name)} ({g.num_images:,})" for g in groups]
        axes.set_yticks(heights, labels, fontsize="small")
        axes.set_ylim(len(groups) - 0.4, -0.6)
        columns = 2 if sum(map(len, names)) <= _ONE_LINE else 1
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
        axes.legend(frameon=False, fontsize="small", ncols=columns, **above)
    found = "; ".join(
        f"{c.second.name} against {c.first.name}: {c.difference.accuracy:+.2%}" for c in comparisons
    )
    return Picture("comparison", f"Accuracy by group. {found} in all.", figure)


def side_line(side: Side) -> str:
    """Returns the accuracy of one side of a comparison."""
    text = f"{side.accuracies.mean():.4f}"
    if len(side.accuracies) > 1:
        deviation = side.accuracies.std(ddof=1)
        text += f" (mean of {len(side.accuracies)} runs, standard deviation {deviation:.4f})"
    return f"{side.name}  accuracy {text}"


def comparison_text(comparison: Comparison) -> str:
    """Returns how much better the second side is, in all and in each group."""
    found = comparison.difference
    interval = "of one example: no interval"
    if found.bootstrap is not None:
        low, high = found.bootstrap
        interval = f"95 % bootstrap over examples: {low:+.4f} to {high:+.4f}"
    lines = [
        f"{comparison.second.name} against {comparison.first.name}",
        f"difference {found.accuracy:+.4f} ({interval})",
    ]
    if found.p_value is not None:
        lines.append(
            f"right alone: {found.only_second:,} against {found.only_first:,}; McNemar's exact "
            f"test p = {found.p_value:.3g}"
        )
    if found.welch is not None:
        low, high = found.welch
        lines.append(f"95 % Welch interval over runs: {low:+.4f} to {high:+.4f}")
    for what, groups in comparison.groups.items():
        rows = [
            (
                g.name,
                f"{g.num_images:,}",
                f"{g.first:.4f}",
                f"{g.second:.4f}",
                f"{g.second - g.first:+.4f}",
            )
            for g in groups
        ]
        lines += ["", table([(what, "images", "first", "second", "difference"), *rows])]
    return "\n".join(lines)
