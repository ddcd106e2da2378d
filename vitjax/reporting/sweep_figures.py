"""Figures of a sweep: its members' epochs, a map of two options, the spread over seeds."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vitjax.reporting.drawing import (
    BLUE,
    GRAY,
    INK,
    colored,
    image_axes,
    new_axes,
    new_figure,
    shortened,
)
from vitjax.reporting.page import Picture
from vitjax.reporting.training_curves import Lines, epoch_axes, mark

if TYPE_CHECKING:
    from vitjax.reporting.drawing import Figure

_MOST_COLORS = 10
_MOST_COLUMNS, _MOST_ROWS = 14, 20  # of a map, beyond which cells are too small for numbers
_MOST_BOXES = 100
_STYLES: dict[str, dict[str, Any]] = {  # by how a member ended; the mark is at its last epoch
    "finished": {"linestyle": "-"},
    "dropped": {"linestyle": "--", "end": "s"},
    "diverged": {"linestyle": ":", "end": "X"},
}


class MemberResult(NamedTuple):
    """How a run of a sweep went."""

    combination: str  # what it shares with the members that differ in their seed alone
    options: Mapping[str, Any]  # the values of the options that the sweep sets, seed among them
    status: str  # finished, dropped or diverged
    lines: Lines  # of metrics.jsonl, which may be none
    valid_accuracy: float | None  # in [0, 1], of the epoch evaluated; None without any
    accuracy: float | None  # in [0, 1], on test; None unless finished


def sweep_pictures(members: Sequence[MemberResult]) -> list[Picture]:
    """Returns the figures that tell something of the members, given best first.

    These are `curves`, `heatmap` where two options vary besides the seed, and `seeds` where members
    that finished differ in their seed alone.
    """
    pictures = [_curves(members)]
    varied = _varied(members)
    if len(varied) == 2:
        pictures.append(_heatmap(members, varied))
    finished = [member for member in members if member.accuracy is not None]
    combinations = _by_combination(finished)
    if any(len(own) > 1 for own in combinations.values()):
        pictures.append(_seeds(combinations))
    return pictures


def _by_combination(members: Sequence[MemberResult]) -> dict[str, list[MemberResult]]:
    found: dict[str, list[MemberResult]] = {}
    for member in members:
        found.setdefault(member.combination, []).append(member)
    return found


def _curves(members: Sequence[MemberResult]) -> Picture:
    """Draws a colour for each combination, or seed where there is one; as many as can be told."""
    names = [member.combination for member in members]
    if len(set(names)) == 1 and "seed" in members[0].options:
        names = [f"seed={member.options['seed']}" for member in members]
    palette = colored((np.arange(_MOST_COLORS)[None] + 0.5) / _MOST_COLORS, "tab10")[0]
    colors = dict(zip(dict.fromkeys(names), palette, strict=False))
    others = len(set(names)) - len(colors)
    figure = new_figure(9.6, 3.6)
    longest = max((m.lines for m in members), key=len)
    for place, what in ((121, "loss"), (122, "accuracy")):
        axes = epoch_axes(figure, f"{what} on validation", longest, place)
        # The best are drawn last, so that they lie above.
        for member, name in list(zip(members, names, strict=True))[::-1]:
            _curve(axes, member, f"valid_{what}", colors.get(name), len(members) > _MOST_COLORS)
        if what == "loss":
            _fit_loss(axes, members)
    _legend(figure, axes, members, colors, others)
    counts = _counts(members)
    return Picture("curves", f"Loss and accuracy on validation by epoch: {counts}.", figure)


def _curve(axes: Any, member: MemberResult, key: str, color: Any, many: bool) -> None:
    style = dict(_STYLES[member.status])
    end = style.pop("end", None)
    style |= {"color": GRAY, "alpha": 0.5} if color is None else {"color": color}
    epochs = [line["epoch"] for line in member.lines]
    values = [line[key] for line in member.lines]
    width = {"linewidth": 0.9 if many else 1.4}
    points = mark(member.lines) | {"markersize": 3} if len(values) == 1 or not many else {}
    (curve,) = axes.plot(epochs, values, **style, **width, **points)
    if end and values:
        above = {"markersize": 8, "markeredgecolor": "white", "zorder": 3}
        axes.plot(epochs[-1], values[-1], end, color=curve.get_color(), **above)


def _fit_loss(axes: Any, members: Sequence[MemberResult]) -> None:
    """Fits the axis to what did not diverge, so that the others are seen."""
    steady = [m for m in members if m.status != "diverged"] or members
    losses = [line["valid_loss"] for member in steady for line in member.lines]
    if not losses:
        return
    low, high = min(losses), max(losses)
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.2, high * 1.2)
    else:
        margin = 0.05 * (high - low) or 0.1
        axes.set_ylim(low - margin, high + margin)


def _legend(
    figure: "Figure",
    axes: Any,
    members: Sequence[MemberResult],
    colors: Mapping[str, Any],
    others: int,
) -> None:
    """Names colours and ways to end below the axes."""
    entries = [axes.plot([], [], color=c, label=shortened(name))[0] for name, c in colors.items()]
    if others:
        entries += axes.plot([], [], color=GRAY, alpha=0.5, label=f"{others} more")
    for status in ("dropped", "diverged"):
        if count := sum(member.status == status for member in members):
            style = dict(_STYLES[status])
            kind = {"linestyle": style["linestyle"], "marker": style["end"], "color": "black"}
            entries += axes.plot([], [], **kind, label=f"{status} ({count})")
    columns = max(1, min(4, 120 // (6 + max(len(entry.get_label()) for entry in entries))))
    figure.legend(
        handles=entries, loc="outside lower center", ncols=columns, frameon=False, fontsize="small"
    )


def _counts(members: Sequence[MemberResult]) -> str:
    counts = {status: sum(m.status == status for m in members) for status in _STYLES}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _varied(members: Sequence[MemberResult]) -> list[str]:
    """Returns the options, besides the seed, that differ between members."""
    keys = dict.fromkeys(key for member in members for key in member.options if key != "seed")
    return [k for k in keys if len({json.dumps(m.options.get(k)) for m in members}) > 1]


def _heatmap(members: Sequence[MemberResult], keys: Sequence[str]) -> Picture:
    """Draws the means over seeds, one option down, the other across."""
    down, across = ([m.options.get(key) for m in members] for key in keys)
    rows, columns = _levels(down), _levels(across)
    cells: dict[tuple[int, int], list[MemberResult]] = {}
    for member, row, column in zip(members, down, across, strict=True):
        cells.setdefault((rows.index(row), columns.index(column)), []).append(member)
    values = np.full((len(rows), len(columns)), np.nan)
    for place, own in cells.items():
        finished = (m for m in own if m.accuracy is not None)
        found = [m.valid_accuracy for m in finished if m.valid_accuracy is not None]
        values[place] = statistics.fmean(found) if found else np.nan
    width, height = 1.9 + 0.85 * len(columns), 1.3 + 0.5 * len(rows)
    figure = new_figure(float(np.clip(width, 4.2, 14)), float(np.clip(height, 2.8, 11.5)))
    axes = image_axes(figure, 111, values, cmap="Blues", aspect="auto")
    axes.set_title("accuracy on validation" + _with_test(values), fontsize="medium")
    axes.set_xlabel(keys[1])
    axes.set_ylabel(keys[0])
    turn = {"rotation": 90} if len(columns) > _MOST_COLUMNS or _wide(columns) else {}
    axes.set_xticks(range(len(columns)), [_text(v) for v in columns], fontsize="small", **turn)
    axes.set_yticks(range(len(rows)), [_text(v) for v in rows], fontsize="small")
    if _roomy(values):
        for place, own in cells.items():
            _write_cell(axes, place, own, values)
    figure.colorbar(axes.images[0], format="{x:.2%}")
    return Picture("heatmap", _best_cell(keys, rows, columns, values), figure)


def _levels(values: Sequence[Any]) -> list[Any]:
    """Returns the different values: numbers by size, and then others by their text."""
    different = list({json.dumps(value): value for value in values}.values())

    def order(value: Any) -> tuple:
        number = isinstance(value, int | float)
        return (0, value, "") if number else (1, 0, str(value))

    return sorted(different, key=order)


def _roomy(values: np.ndarray) -> bool:
    return values.shape[0] <= _MOST_ROWS and values.shape[1] <= _MOST_COLUMNS


def _with_test(values: np.ndarray) -> str:
    return ", below it on test" if _roomy(values) else ""


def _wide(values: Sequence[Any]) -> bool:
    return max(len(_text(value)) for value in values) > 11


def _write_cell(
    axes: Any, place: tuple[int, int], members: Sequence[MemberResult], values: np.ndarray
) -> None:
    """Writes both accuracies, or how all of the cell's members ended."""
    tests = [member.accuracy for member in members if member.accuracy is not None]
    color = INK
    if tests:
        text = f"{values[place]:.2%}\n{statistics.fmean(tests):.2%}"
        low, high = np.nanmin(values), np.nanmax(values)
        color = "white" if values[place] - low > 0.6 * (high - low) > 0 else INK
    else:
        text = "\n".join(dict.fromkeys(member.status for member in members))
    axes.text(*place[::-1], text, ha="center", va="center", fontsize="small", color=color)


def _best_cell(
    keys: Sequence[str], rows: Sequence[Any], columns: Sequence[Any], values: np.ndarray
) -> str:
    text = f"Accuracy on validation by {keys[0]} and {keys[1]}"
    if np.isnan(values).all():
        return f"{text}: no member finished."
    row, column = divmod(int(np.nanargmax(values)), values.shape[1])
    at = f"{_text(rows[row])} and {_text(columns[column])}"
    return f"{text}: best with {at}, {values[row, column]:.2%}."


def _seeds(combinations: Mapping[str, Sequence[MemberResult]]) -> Picture:
    """Draws a box and points for each combination, in the order of their best members."""
    shown = list(combinations.items())[:_MOST_BOXES]
    accuracies = [[m.accuracy for m in members if m.accuracy is not None] for _, members in shown]
    heights = range(len(shown))
    figure = new_figure(7, 1 + 0.3 * len(shown))
    axes = new_axes(figure, title="accuracy on test over seeds")
    lines = {"color": GRAY, "linewidth": 1.2}
    axes.boxplot(
        accuracies,
        orientation="horizontal",
        positions=heights,
        widths=0.6,
        showfliers=False,  # each is a point anyhow
        manage_ticks=False,
        boxprops=lines,
        whiskerprops=lines,
        capprops=lines,
        medianprops={"color": "black", "linewidth": 1.6},
    )
    for height, values in zip(heights, accuracies, strict=True):
        axes.plot(values, [height] * len(values), "o", color=BLUE, alpha=0.8, markersize=4.5)
    axes.xaxis.set_major_formatter("{x:.1%}")
    names = [f"{shortened(name)} ({len(members)})" for name, members in shown]
    axes.set_yticks(heights, names, fontsize="small")
    axes.invert_yaxis()
    spread = "; ".join(
        f"{name} from {min(values):.2%} to {max(values):.2%}"
        for (name, _), values in zip(shown[:3], accuracies, strict=False)
    )
    return Picture("seeds", f"Accuracy on test over seeds: {spread}.", figure)


def _text(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return "-" if value is None else str(value)
