"""Whether one model is better than another on the same examples, and where."""

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vitjax.errors import UserError
from vitjax.reporting.examples import Predictions

_RESAMPLES = 10_000
_NUM_BINS = 5  # of a numeric column with more values
_MAX_GROUPS = 100  # of a column of names
_MISSING = ("", "na", "n/a", "nan", "null", "none", "-")  # among numbers


class Side(NamedTuple):
    """One or several runs (seeds) of one kind."""

    name: str
    accuracies: np.ndarray  # [R], of each run
    correct: np.ndarray  # float [N], share of the runs that are right on each example


class Difference(NamedTuple):
    """How much better the second side is than the first, with 95 % intervals."""

    accuracy: float
    bootstrap: tuple[float, float]  # over examples
    only_first: int | None  # examples that only the first has right; None for several runs
    only_second: int | None
    p_value: float | None  # of McNemar's exact test, two-sided
    welch: tuple[float, float] | None  # over runs; None without two runs a side


class Group(NamedTuple):
    """Some of the examples."""

    name: str
    num_images: int
    first: float  # accuracies
    second: float


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
        bootstrap=bootstrap_interval(gain),
        only_first=None if several else worse,
        only_second=None if several else better,
        p_value=None if several else mcnemar(worse, better),
        welch=welch_interval(first.accuracies, second.accuracies) if both else None,
    )


def bootstrap_interval(gain: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Returns the 95 % percentile interval of the mean of paired differences [N].

    Examples are drawn with replacement; as few values occur, it is enough to draw their counts.
    """
    values, counts = np.unique(gain, return_counts=True)
    random = np.random.RandomState(seed)
    drawn = random.multinomial(len(gain), counts / len(gain), size=_RESAMPLES)
    low, high = np.percentile(drawn @ values / len(gain), [2.5, 97.5])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Returns the two-sided p of McNemar's exact test on examples that one alone has right."""
    from scipy import stats

    total = only_first + only_second
    return float(stats.binomtest(only_first, total, 0.5).pvalue) if total else 1.0


def welch_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % interval of mean(second) - mean(first), variances not taken as equal."""
    from scipy import stats

    terms = [np.var(x, ddof=1) / len(x) for x in (first, second)]
    gain, error = second.mean() - first.mean(), float(np.sqrt(sum(terms)))
    if error == 0:
        return float(gain), float(gain)
    parts = (t**2 / (len(x) - 1) for t, x in zip(terms, (first, second), strict=True))
    freedom = sum(terms) ** 2 / sum(parts)
    half = stats.t.ppf(0.975, freedom) * error
    return float(gain - half), float(gain + half)


def groups(first: Side, second: Side, values: np.ndarray, names: Sequence[str]) -> list[Group]:
    """Returns both accuracies in each group; `values` [N] are places in `names`, -1 for none."""
    found = []
    for place, name in enumerate(names):
        inside = values == place
        if inside.any():
            accuracies = [float(x.correct[inside].mean()) for x in (first, second)]
            found.append(Group(name, int(inside.sum()), *accuracies))
    return found


def read_column(path: Path, column: str, ids: np.ndarray, key: str = "") -> list[str]:
    """Returns a CSV's column for the examples `ids` [N], "" for those that it lacks.

    Rows are found by the column `key`, by default `id` or else `path`, which names examples as
    predictions.npz does; without any they must be the examples in order. Raises UserError or
    OSError in one line.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    columns = list(rows[0]) if rows else []
    if column not in columns:
        raise UserError(f"{path} has the columns {columns}; choose --column from them")
    if key and key not in columns:
        raise UserError(f"{path} has the columns {columns}; choose --key from them")
    key = key or next((name for name in ("id", "path") if name in columns), "")
    if not key:
        if len(rows) != len(ids):
            raise UserError(
                f"{path} has {len(rows):,} rows for {len(ids):,} examples and neither a column id "
                "nor path to find them by; say with --key which column names them"
            )
        return [row[column] or "" for row in rows]
    by_id = {row[key]: row[column] or "" for row in rows}
    found = [by_id.get(name, "") for name in ids]
    if not any(found):
        raise UserError(
            f"{path} names none of the examples in its column {key}; they are called as {ids[0]}"
        )
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
        return places, [f"{value:g}" for value in distinct]
    edges = np.unique(np.quantile(numbers[there], np.linspace(0, 1, _NUM_BINS + 1)))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    names = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    return np.where(there, places, -1), names
