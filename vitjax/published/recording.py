"""From a finished run to a measured row of the ledger."""

import functools
import json
import shlex
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vitjax import config_file
from vitjax.config import flatten, to_json
from vitjax.errors import UserError
from vitjax.published.ledger import RESULTS, Row, rows
from vitjax.runs.run_folder import RunFolder, differences, option_words


def record(workdir: str) -> list[Path]:
    """Writes results/FAMILY-ROW.json for the run in `workdir`; returns the paths written.

    Rows of one config have a file each. Of a sweep it is results/sweep_MODEL_DATA_OPTIONS.json, and
    a FAMILY-ROW.json for each row among its members. Raises UserError if the run is not finished,
    or is not that of a row (its seed may differ).
    """
    folder = RunFolder(Path(workdir))
    if (folder.path / "plan.json").exists():
        return _record_sweep(folder)
    result = folder.evaluation()
    if result is None:
        raise UserError(f"--record={workdir} is not the folder of a finished run")
    facts = folder.read("config.json", "config")
    same = _rows(facts["config"], workdir)
    command = f"python -m vitjax.main --config={same[0].config} --config.seed={result['seed']}"
    seconds = {"training_seconds": round(result["seconds"], 1)}  # members of a sweep share theirs
    source = seconds | {"command": command} | _machine(facts)
    return [_record_row(row, [result], source) for row in same]


def _record_row(row: Row, results: Sequence[dict[str, Any]], source: dict[str, Any]) -> Path:
    """Writes what runs of a row, which differ in their seeds alone, measured on average."""
    results = sorted(results, key=lambda result: result["seed"])
    kinds = {"train_acc": "train_accuracy", "valid_acc": "valid_accuracy", "test_acc": "accuracy"}
    shares = {
        name: [result[key] for result in results]
        for name, key in kinds.items()
        if all(key in result for result in results)
    }
    measured = {
        "seed": row.seed,
        "family": row.family,
        "row": row.row,
        "accuracies": {n: round(100 * statistics.fmean(x), 2) for n, x in shares.items()},
        "deviations": {
            n: round(100 * statistics.stdev(x), 2) for n, x in shares.items() if len(x) > 1
        },
        "training_seeds": [result["seed"] for result in results],
        "epochs": [result["epoch"] for result in results],
        "num_params": results[0]["num_params"],
    }
    return _write(f"{row.family}-{row.row}.json", measured | source)


def _record_sweep(folder: RunFolder) -> list[Path]:
    """Writes the plan and the outcomes of a finished sweep, and those of rows among its members."""
    if not (folder.path / "sweep.json").exists():
        raise UserError(f"--record={folder.path} is not the folder of a finished sweep")
    result = json.loads((folder.path / "sweep.json").read_text())
    plan = json.loads((folder.path / "plan.json").read_text())
    config = plan["config"]
    source = {"command": _without_places(plan["command"])} | _machine(plan)
    keys = dict.fromkeys(key for member in result["members"] for key in member["overrides"])
    options = "-".join(key.rsplit(".", 1)[-1] for key in keys)
    model_name, data_name = config["model_name"], config["data"]["name"]
    setting = {"model_name": model_name, "data_name": data_name, "halve": plan["halve"]}
    name = f"sweep_{model_name}_{data_name}_{options}.json"
    paths = [_write(name, source | setting | result)]
    found: dict[str, tuple[Row, list[dict[str, Any]]]] = {}
    for member in result["members"]:
        if member["status"] == "finished":
            for row in _same(flatten(config) | member["overrides"]):
                found.setdefault(f"{row.family} {row.row}", (row, []))[1].append(member)
    return paths + [_record_row(row, members, source) for row, members in found.values()]


def _machine(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("hardware", "versions")}


def _write(name: str, content: dict[str, Any]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _without_places(command: str) -> str:
    """Drops where one machine keeps its data and its runs."""
    start, words = shlex.split(command)[:3], shlex.split(command)[3:]
    places = ("workdir", "config.data.data_dir", "coordinator")
    return shlex.join([*start, *(word for name, word in option_words(words) if name not in places)])


def row_of(config: dict[str, Any]) -> Row | None:
    """Returns the row whose config a run has, as JSON, but for the seed; None: that of no row.

    Of several it is the first that has an accuracy on test, if any has.
    """
    return min(_same(config), key=lambda row: row.accuracies.get("test_acc") is None, default=None)


def _same(config: dict[str, Any]) -> list[Row]:
    """Returns the rows whose config a run has, but for the seed."""
    return [row for changes, row in _compared(config) if not changes]


def _rows(config: dict[str, Any], workdir: str) -> list[Row]:
    same = _same(config)
    if not same:
        changes, nearest = min(_compared(config), key=lambda compared: len(compared[0]))
        raise UserError(
            f"the run in --record={workdir} is that of no row; nearest to {nearest.family} "
            f"{nearest.row}, whose {'; '.join(changes)}"
        )
    return same


def _compared(config: dict[str, Any]) -> Iterator[tuple[list[str], Row]]:
    """Yields each row that has a config, with where it differs but for the seed."""
    seed, found = {"seed": config["seed"]}, flatten(config)
    for known, row in _row_configs():
        yield differences(known | seed, found), row


@functools.cache
def _row_configs() -> list[tuple[dict[str, Any], Row]]:
    return [
        (flatten(to_json(config_file.load_config(row.config))), row)
        for row in rows()
        if row.config is not None
    ]
