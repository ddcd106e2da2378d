"""A sweep's members side by side: the ranked table, with mean and deviation over seeds."""

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitjax.config import flatten
from vitjax.runs import selection
from vitjax.runs.run_folder import RunFolder
from vitjax.sweeps.plan import short_names
from vitjax.text import table as text_table

Entry = Mapping[str, Any]  # of sweep.json

_VALID = ("valid_accuracy", "valid_loss")
_MEASURED = (*_VALID, "accuracy", "loss", "train_accuracy", "train_loss")


def over_seeds(ranked: Sequence[Entry], select_by: str) -> list[dict[str, Any]]:
    """Returns a row for the finished members that differ in their seed alone, the best first.

    What is of validation is the mean; `mean` and `std` (of the sample; None for one member) are
    those of the accuracy on test.
    """
    alike: dict[str, list[Entry]] = {}
    for entry, name in zip(ranked, without_seed(ranked), strict=True):
        if entry["status"] == "finished":
            alike.setdefault(name, []).append(entry)
    rows = []
    for name, entries in alike.items():
        accuracies = [entry["accuracy"] for entry in entries]
        rows.append(
            {
                "name": name,
                "num_seeds": len(entries),
                **{key: statistics.fmean(entry[key] for entry in entries) for key in _VALID},
                "mean": statistics.fmean(accuracies),
                "std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
                "published": entries[0].get("published"),
            }
        )
    return sorted(rows, key=lambda row: selection.score(row, select_by), reverse=True)


def without_seed(ranked: Sequence[Entry]) -> list[str]:
    """Returns what each member is called but for its seed."""
    keys = dict.fromkeys(key for entry in ranked for key in entry["overrides"] if key != "seed")
    short = short_names(list(keys))
    return [
        ", ".join(f"{short[k]}={_short(v)}" for k, v in entry["overrides"].items() if k in short)
        or "default"
        for entry in ranked
    ]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(ranked: Sequence[Entry], select_by: str) -> str:
    """Returns the members, best first, and below, where seeds vary, their means."""
    published = any(entry.get("published") is not None for entry in ranked)
    heads = ["member", "status", "epoch", "valid", "test", *(["published"] if published else [])]
    members = [
        [
            entry["name"],
            entry["status"],
            str(entry.get("epoch", "-")),
            _percent(entry.get("valid_accuracy")),
            _percent(entry.get("accuracy")),
            *([_percent(entry.get("published"))] if published else []),
        ]
        for entry in ranked
    ]
    ranking = f"ranked by {select_by} on validation\n{text_table([heads, *members])}"
    rows = over_seeds(ranked, select_by)
    if not any(row["num_seeds"] > 1 for row in rows):
        return ranking
    heads = ["over seeds", "seeds", "valid", "test", "deviation", *heads[5:]]
    means = [
        [
            row["name"],
            str(row["num_seeds"]),
            _percent(row["valid_accuracy"]),
            _percent(row["mean"]),
            _percent(row["std"]),
            *([_percent(row["published"])] if published else []),
        ]
        for row in rows
    ]
    return f"{ranking}\n\n{text_table([heads, *means])}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def pictured(ranked: Sequence[Entry], workdir: Path) -> list[dict[str, Any]]:
    """Returns what pictures of a sweep show of each member, from its folder in `workdir`/runs."""
    keys = dict.fromkeys(key for entry in ranked for key in entry["overrides"])
    found = []
    for entry, combination in zip(ranked, without_seed(ranked), strict=True):
        folder = RunFolder(workdir / "runs" / entry["name"])
        options = flatten(folder.begun()["config"])
        found.append(
            {
                "combination": combination,
                "options": {key: options.get(key) for key in keys},
                "status": entry["status"],
                "lines": folder.metrics(),
                "valid_accuracy": entry.get("valid_accuracy"),
                "accuracy": entry.get("accuracy"),
            }
        )
    return found


def as_csv(ranked: Sequence[Entry]) -> str:
    """Returns the members as CSV, best first: a column for each option that the sweep sets."""
    keys = list(dict.fromkeys(key for entry in ranked for key in entry["overrides"]))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "status", *keys, "epoch", "step", *_MEASURED, "published"])
    for entry in ranked:
        given = [entry["overrides"].get(key, "") for key in keys]
        options = [json.dumps(v) if isinstance(v, list | tuple) else v for v in given]
        measured = [entry.get(name, "") for name in ("epoch", "step", *_MEASURED, "published")]
        writer.writerow([entry["name"], entry["status"], *options, *measured])
    return file.getvalue()
