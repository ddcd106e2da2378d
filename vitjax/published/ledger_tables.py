"""Rows as text: a table for the terminal, and the page README.md beside this file."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

from vitjax import text

_HEADER = (
    "seed", "family", "row", "published params", "params", "published MACs", "MACs",
    "published test %", "measured test %", "recipe test %", "status",
)  # fmt: skip
_TEXTS = (0, 1, 2, 10)

_INTRODUCTION = """\
<!-- written by: python -m vitjax.published --markdown > vitjax/published/README.md -->
# Results: published, and measured by vitjax

Five published works on small image classifiers, numbered 000 to 004, are rebuilt here row by row.
They are called seeds, as vitjax grew from them, and have nothing to do with random seeds.
[More about them](../docs/published.md).

| seed | what it is |
|---|---|
| 000 | ViT Light on MNIST and Fashion-MNIST, and a ViT to compare it with on five data sets |
| 001 | MLP-Mixer on MNIST: initialisers, losses, optimisers, hyperparameters |
| 002 | ViT on MNIST |
| 003 | ViT, Linformer, pretrained ViT-Base, ResNet-50 and VGG-16 on galaxies (Galaxy Zoo 2) |
| 004 | ViT, and pretrained ResNet-18 and Swin, on CIFAR-100 |

A row is one model or run that a work prints. "Published" is what it prints. "Params" and "MACs"
(multiply-accumulates of one image) are counted from the network that vitjax builds by the row's
config. "Measured" is what vitjax reached on the test split, in percent, at the epoch that is best
on validation, with the deviation over random seeds where there were several; the published test
accuracies of 000 and 004 are those of the epoch that is best on test. "Recipe" is the same network
trained by a config of vitjax's own. A row's file in [results](results) has all that was measured.
"""


def _cells(entry: dict[str, Any]) -> list[str]:
    """Returns an entry's cells under _HEADER."""
    numbers = [entry[key] for key in ("published_params", "params", "published_macs", "macs")]
    return [
        entry["seed"],
        entry["family"],
        entry["row"],
        *("" if number is None else f"{number:,}" for number in numbers),
        _percent(entry["published"].get("test_acc")),
        on_test(entry["measured"]),
        on_test(entry["recipe"]),
        entry["status"],
    ]


def on_test(result: dict[str, Any] | None) -> str:
    """Returns the accuracy on test of a recorded result, with its deviation; "" without one."""
    if result is None:
        return ""
    deviation = result.get("deviations", {}).get("test_acc")
    return _percent(result["accuracies"].get("test_acc")) + _deviation(deviation)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _deviation(value: float | None) -> str:
    return "" if value is None else f" ± {value:.2f}"


def results(entries: Iterable[dict[str, Any]]) -> str:
    """Returns the README's table of rows that have recipes: what was measured of both."""
    lines = [
        "| network and data | parameters | published | as published | recipe | which |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for entry in entries:
        best = entry["recipe"] or {}
        config = best.get("recipe") or next(iter(entry["recipes"]))
        cells = [
            f"`{entry['config']}`",
            f"{entry['params']:,}",
            _percent(entry["published"].get("test_acc")),
            on_test(entry["measured"]) or "pending",
            on_test(entry["recipe"]) or "pending",
            f"`:{config.partition(':')[2]}`: {entry['recipes'][config]}",
        ]
        lines.append(_markdown_line(cells))
    return "\n".join(lines)


def terminal(entries: Sequence[dict[str, Any]]) -> str:
    """Returns a table in columns, what differs or was corrected below it, and a summary."""
    table = text.table([_HEADER, *map(_cells, entries)], left=_TEXTS)
    return "\n".join([table, "", *_remarks(entries), summary(entries)])


def _remarks(entries: Iterable[dict[str, Any]]) -> list[str]:
    """Says of each row what differs, what was corrected and why, and why it is not built."""
    lines = []
    for entry in entries:
        name = f"{entry['family']} {entry['row']}"
        lines += [f"DISAGREES {name}: {what}" for what in entry["disagreements"]]
        for correction in entry["correction"]:
            cell, printed, why = (correction[key] for key in ("cell", "printed", "why"))
            lines.append(f"{name}: {cell} {printed or '(blank)'} -> {_value(correction)}: {why}")
    reasons = collections.Counter(entry["reason"] for entry in entries if entry["reason"])
    return [*lines, *(f"not built, {_rows(count)}: {why}" for why, count in reasons.items())]


def _value(correction: dict[str, Any]) -> str:
    value = correction["value"]
    if value is None:
        return "withdrawn"
    return f"{value:,}" if type(value) is int else str(value)


def summary(entries: Sequence[dict[str, Any]]) -> str:
    """Returns how many rows there are of each status, in one line."""
    counted = collections.Counter(entry["status"] for entry in entries)
    return f"{_rows(len(entries))}: " + ", ".join(f"{n} {status}" for status, n in counted.items())


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def markdown(entries: Sequence[dict[str, Any]], sweeps: Sequence[dict[str, Any]] = ()) -> str:
    """Returns the page: a table for each family, folded, the corrections, and sweeps."""
    lines = [_INTRODUCTION, f"{summary(entries)}."]
    columns = [i for i, title in enumerate(_HEADER) if title not in ("seed", "family")]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault((entry["seed"], entry["family"]), []).append(entry)
    for (seed, family), group in groups.items():
        title = f"Seed {seed}, {family}: {summary(group)}"
        lines += ["", f"<details><summary>{title}</summary>", ""]
        lines.append(_markdown_line([_HEADER[i] for i in columns]))
        lines.append("|" + "|".join("---" if i in _TEXTS else "---:" for i in columns) + "|")
        lines += [_markdown_line([_cells(entry)[i] for i in columns]) for entry in group]
        remarks = [*_remarks(group), *_provenance(group)]
        lines += ["", *(f"- {remark}" for remark in remarks)] if remarks else []
        lines += ["", "</details>"]
    return "\n".join([*lines, *(line for sweep in sweeps for line in _sweep(sweep))])


def _provenance(entries: Iterable[dict[str, Any]]) -> list[str]:
    """Says of measured rows what they were measured by: command, hardware, random seeds."""
    rows: dict[str, list[str]] = {}
    for entry in entries:
        for measured in filter(None, (entry["measured"], entry["recipe"])):
            seeds = ", ".join(map(str, measured["training_seeds"]))
            by = f"{_by(measured)}, random seed{'s' * (',' in seeds)} {seeds}"
            if "differs" in measured:
                by += f"; as the row, but: {measured['differs']}"
            rows.setdefault(by, []).append(entry["row"])
    return [f"measured, {', '.join(names)}: {by}" for by, names in rows.items()]


def _by(measured: dict[str, Any]) -> str:
    """Returns the command, hardware and versions of a recorded run or sweep."""
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return f"`{measured['command']}` on {measured['hardware']}; {versions}"


def _sweep(sweep: dict[str, Any]) -> list[str]:
    """Returns a sweep's means over seeds, best on validation first, folded."""
    members = sweep["members"]
    model, data = sweep["model_name"], sweep["data_name"]
    options = dict.fromkeys(key for member in members for key in member["overrides"])
    unfinished = [f"{m['name']}: {m['status']}" for m in members if m["status"] != "finished"]
    return [
        "",
        f"<details><summary>Sweep of {model} on {data} over {', '.join(options)}</summary>",
        "",
        f"{_by(sweep)}:",
        "",
        "| members | seeds | valid % | test % | published test % |",
        "|---|---:|---:|---:|---:|",
        *(
            _markdown_line(
                [
                    row["name"],
                    str(row["num_seeds"]),
                    _percent(100 * row["valid_accuracy"]),
                    _percent(100 * row["mean"]) + _deviation(row["std"] and 100 * row["std"]),
                    _percent(row["published"] and 100 * row["published"]),
                ]
            )
            for row in sweep["over_seeds"]
        ),
        *(["", *(f"- {member}" for member in unfinished)] if unfinished else []),
        "",
        "</details>",
    ]


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
