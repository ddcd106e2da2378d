"""From a finished run to a measured row of the ledger."""

import functools
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitjax import cli
from vitjax.config import to_json
from vitjax.published.ledger import RESULTS, Row, rows
from vitjax.training.run_folder import RunFolder, differences, flatten, option_words


def record(workdir: str) -> Path:
    """Writes results/FAMILY-ROW.json for the run in `workdir`, and returns its path.

    Of a sweep it is results/sweep_MODEL_DATA_OPTIONS.json. Raises ValueError if the run is not
    finished, or is not that of a row (its seed may differ).
    """
    folder = RunFolder(Path(workdir))
    if (folder.path / "plan.json").exists():
        return _record_sweep(folder)
    result = folder.evaluation()
    if result is None:
        raise ValueError(f"--record={workdir} is not the folder of a finished run")
    facts = folder.read("config.json", "config")
    row = _row(facts["config"], workdir)
    names = ("train", "valid")
    accuracies = {f"{n}_acc": result[f"{n}_accuracy"] for n in names if f"{n}_accuracy" in result}
    accuracies["test_acc"] = result["accuracy"]
    measured = {
        "seed": row.seed,
        "family": row.family,
        "row": row.row,
        "accuracies": {name: round(100 * value, 2) for name, value in accuracies.items()},
        "epoch": result["epoch"],
        "training_seconds": round(result["seconds"], 1),
        "training_seed": result["seed"],
        "num_params": result["num_params"],
        "command": f"python -m vitjax.main --config={row.config} --config.seed={result['seed']}",
        "hardware": facts["hardware"],
        "versions": facts["versions"],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{row.family}-{row.row}.json"
    path.write_text(json.dumps(measured, indent=2) + "\n")
    return path


def _record_sweep(folder: RunFolder) -> Path:
    """Writes the plan and the outcomes of a finished sweep."""
    if not (folder.path / "sweep.json").exists():
        raise ValueError(f"--record={folder.path} is not the folder of a finished sweep")
    result = json.loads((folder.path / "sweep.json").read_text())
    plan = json.loads((folder.path / "plan.json").read_text())
    config = plan["config"]
    keys = dict.fromkeys(key for member in result["members"] for key in member["overrides"])
    options = "-".join(key.rsplit(".", 1)[-1] for key in keys)
    facts = {"command": _without_places(plan["command"])}
    facts |= {name: plan[name] for name in ("hardware", "versions", "halve")}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"sweep_{config['model_name']}_{config['data']['name']}_{options}.json"
    path.write_text(json.dumps(facts | result, indent=1) + "\n")
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
    same = (row for changes, row in _compared(config) if not changes)
    return min(same, key=lambda row: row.accuracies.get("test_acc") is None, default=None)


def _row(config: dict[str, Any], workdir: str) -> Row:
    changes, row = _nearest(config)
    if changes:
        raise ValueError(
            f"the run in --record={workdir} is that of no row; nearest to {row.family} {row.row}, "
            f"whose {'; '.join(changes)}"
        )
    return row


def _nearest(config: dict[str, Any]) -> tuple[list[str], Row]:
    """Returns the first row that differs the least, and where."""
    return min(_compared(config), key=lambda compared: len(compared[0]))


def _compared(config: dict[str, Any]) -> Iterator[tuple[list[str], Row]]:
    """Yields each row that has a config, with where it differs but for the seed."""
    seed, found = {"seed": config["seed"]}, flatten(config)
    for known, row in _row_configs():
        yield differences(known | seed, found), row


@functools.cache
def _row_configs() -> list[tuple[dict[str, Any], Row]]:
    return [
        (flatten(to_json(cli.load_config(row.config))), row)
        for row in rows()
        if row.config is not None
    ]
