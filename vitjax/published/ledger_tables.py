"""Rows as text: a table for the terminal, and one for README."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

_HEADER = (
    "seed", "family", "row", "published params", "params", "published MACs", "MACs",
    "published test %", "measured test %", "status",
)  # fmt: skip
_NUMERIC = range(3, 9)


def _cells(entry: dict[str, Any]) -> list[str]:
    """Returns an entry's cells under _HEADER."""
    measured = entry["measured"] or {"accuracies": {}}
    numbers = [entry[key] for key in ("published_params", "params", "published_macs", "macs")]
    return [
        entry["seed"],
        entry["family"],
        entry["row"],
        *("" if number is None else f"{number:,}" for number in numbers),
        _percent(entry["published"].get("test_acc")),
        _percent(measured["accuracies"].get("test_acc"))
        + _deviation(measured.get("deviations", {}).get("test_acc")),
        entry["status"],
    ]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _deviation(value: float | None) -> str:
    return "" if value is None else f" ± {value:.2f}"


def terminal(entries: Sequence[dict[str, Any]]) -> str:
    """Returns a table in columns, what differs or was corrected below it, and a summary."""
    lines = [list(_HEADER), *(_cells(entry) for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(
            cell.rjust(width) if i in _NUMERIC else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*table, "", *_remarks(entries), summary(entries)])


def _remarks(entries: Iterable[dict[str, Any]]) -> list[str]:
    """Says of each row what differs, what was corrected and why, and why it is not built."""
    lines = []
    for entry in entries:
        name = f"{entry['family']} {entry['row']}"
        lines += [f"DISAGREES {name}: {text}" for text in entry["disagreements"]]
        for correction in entry["correction"]:
            cell, printed, why = (correction[key] for key in ("cell", "printed", "why"))
            lines.append(f"{name}: {cell} {printed or '(blank)'} -> {_value(correction)}: {why}")
    reasons = collections.Counter(entry["reason"] for entry in entries if entry["reason"])
    return [*lines, *(f"not built, {_rows(count)}: {text}" for text, count in reasons.items())]


def _value(correction: dict[str, Any]) -> str:
    value = correction["value"]
    if value is None:
        return "withdrawn"
    return f"{value:,}" if type(value) is int else str(value)


def summary(entries: Sequence[dict[str, Any]]) -> str:
    """Returns how many rows there are of each status, in one line."""
    counted = collections.Counter(entry["status"] for entry in entries)
    return f"{_rows(len(entries))}: " + ", ".join(f"{n} {text}" for text, n in counted.items())


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def markdown(entries: Sequence[dict[str, Any]], sweeps: Sequence[dict[str, Any]] = ()) -> str:
    """Returns README's section: a table for each family, folded, the corrections, and sweeps."""
    lines = [
        "Written by `python -m vitjax.published --markdown`: what the seeds publish, and what",
        "vitjax builds and measures. Parameters and MACs (multiply-accumulates of one image) are",
        "counted from the row's config; accuracies are on test, in percent,",
        "with the deviation over seeds where a row was measured with several.",
        "",
        f"{summary(entries)}.",
    ]
    columns = [i for i, title in enumerate(_HEADER) if title not in ("seed", "family")]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault((entry["seed"], entry["family"]), []).append(entry)
    for (seed, family), group in groups.items():
        title = f"Seed {seed}, {family}: {summary(group)}"
        lines += ["", f"<details><summary>{title}</summary>", ""]
        lines.append(_markdown_line([_HEADER[i] for i in columns]))
        lines.append("|" + "|".join("---:" if i in _NUMERIC else "---" for i in columns) + "|")
        lines += [_markdown_line([_cells(entry)[i] for i in columns]) for entry in group]
        remarks = _remarks(group)
        lines += ["", *(f"- {text}" for text in remarks)] if remarks else []
        lines += ["", "</details>"]
    return "\n".join([*lines, *(line for sweep in sweeps for line in _sweep(sweep))])


def _sweep(sweep: dict[str, Any]) -> list[str]:
    """Returns a sweep's means over seeds, best on validation first, folded."""
    members = sweep["members"]
    model, data = sweep["model_name"], sweep["data_name"]
    options = dict.fromkeys(key for member in members for key in member["overrides"])
    versions = ", ".join(f"{name} {version}" for name, version in sweep["versions"].items())
    unfinished = [f"{m['name']}: {m['status']}" for m in members if m["status"] != "finished"]
    return [
        "",
        f"<details><summary>Sweep of {model} on {data} over {', '.join(options)}</summary>",
        "",
        f"`{sweep['command']}` on {sweep['hardware']}; {versions}:",
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
        *(["", *(f"- {text}" for text in unfinished)] if unfinished else []),
        "",
        "</details>",
    ]


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
