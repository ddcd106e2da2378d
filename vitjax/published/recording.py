"""From a finished run, or the members of a sweep, to the measured results of their rows."""

import json
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitjax import files
from vitjax.config import flatten, to_json
from vitjax.errors import UserError
from vitjax.published.ledger import RESULTS
from vitjax.published.matching import Match, known_matches, matches
from vitjax.published.recipes import file_name
from vitjax.runs import contents, schema
from vitjax.runs.run_folder import RunFolder, option_words
from vitjax.runs.saved_config import read_options, to_config
from vitjax.runs.seal import opened


def checkout_results(results: Path = RESULTS) -> Path:
    """Returns the folder of results of a checkout; raises UserError in an installed package."""
    project = results.parents[2] / "pyproject.toml"
    if not project.is_file() or '\nname = "vitjax"\n' not in project.read_text():
        raise UserError(
            f"--record writes into a checkout of vitjax, and {results.parents[1]} is an installed "
            "package; run it in a checkout, after pip install -e ."
        )
    return results


def record(workdir: str, results: Path) -> list[Path]:
    """Writes FAMILY-ROW.json for the run in `workdir` into `results`; returns the paths written.

    Rows of one config have a file each, and a recipe has CONFIG.json. Of a sweep it is
    sweep_MODEL_DATA_OPTIONS.json where members differ in more than their seeds, and the files of
    the rows and recipes among them. Raises UserError if the run is not finished, or is neither
    that of a row nor of a recipe (its seed may differ).
    """
    folder = RunFolder(Path(workdir))
    if (folder.path / "plan.json").exists():
        return _record_sweep(folder, results)
    evaluation = folder.evaluation()
    if evaluation is None:
        raise UserError(f"--record={workdir} is not the folder of a finished run")
    begun = folder.begun()
    found = known_matches(read_options(folder), workdir)
    provenance = {
        "training_seconds": round(evaluation["seconds"], 1),
        "command": f"python -m vitjax.main --config={found[0].config} "
        f"--config.seed={evaluation['seed']}",
        **_machine(begun),
    }
    return [_record_match(results, match, [evaluation], provenance) for match in found]


def _record_match(
    results: Path, match: Match, evaluations: Sequence[dict[str, Any]], provenance: dict[str, Any]
) -> Path:
    """Writes what runs of one config, which differ in their seeds alone, measured on average."""
    row = match.row
    evaluations = sorted(evaluations, key=lambda each: each["seed"])
    kinds = {"train_acc": "train_accuracy", "valid_acc": "valid_accuracy", "test_acc": "accuracy"}
    shares = {
        name: [each[key] for each in evaluations]
        for name, key in kinds.items()
        if all(key in each for each in evaluations)
    }
    measured = {
        "seed": row.seed,
        "family": row.family,
        "row": row.row,
        "accuracies": {n: round(100 * statistics.fmean(x), 2) for n, x in shares.items()},
        "deviations": {
            n: round(100 * statistics.stdev(x), 2) for n, x in shares.items() if len(x) > 1
        },
        "training_seeds": [each["seed"] for each in evaluations],
        "epochs": [each["epoch"] for each in evaluations],
        "num_params": evaluations[0]["num_params"],
    }
    name = f"{row.family}-{row.row}".replace(" ", "_")
    if match.is_recipe:
        name = file_name(match.config)
        measured["recipe"] = match.config
    return _write(results / f"{name}.json", measured | provenance)


def _record_sweep(folder: RunFolder, results: Path) -> list[Path]:
    """Writes the plan and the outcomes of a finished sweep, and those of rows among its members."""
    if not (folder.path / "sweep.json").exists():
        raise UserError(f"--record={folder.path} is not the folder of a finished sweep")
    file = folder.path / "sweep.json"
    outcome = opened(schema.read(file, contents.SweepFile, contents.misfit_in_sweep), file)
    plan = schema.read(folder.path / "plan.json", contents.PlanFile)
    config = to_json(to_config(plan["config"], folder.path / "plan.json"))
    provenance = {"command": _without_places(plan["command"])} | _machine(plan)
    keys = dict.fromkeys(key for member in outcome["members"] for key in member["overrides"])
    options = "-".join(key.rsplit(".", 1)[-1] for key in keys)
    model_name, data_name = config["model_name"], config["data"]["name"]
    setting = {"model_name": model_name, "data_name": data_name, "halve": plan["halve"]}
    paths = []
    if list(keys) != ["seed"]:
        path = results / f"sweep_{model_name}_{data_name}_{options}.json"
        paths.append(_write(path, provenance | setting | outcome))
    found: dict[tuple[str, ...], tuple[Match, list[dict[str, Any]]]] = {}
    for member in outcome["members"]:
        if member["status"] == "finished":
            for match in matches(flatten(config) | member["overrides"]):
                key = match.row.family, match.row.row, match.config
                found.setdefault(key, (match, []))[1].append(member)
    if not any(member["status"] == "finished" for member in outcome["members"]):
        raise UserError(f"no member of the sweep in --record={folder.path} has finished")
    if not paths and not found:
        known_matches(config, str(folder.path))
    for match, members in found.values():
        # Of members that train together, each has its share of the seconds.
        seconds = {"training_seconds": round(sum(member["seconds"] for member in members), 1)}
        paths.append(_record_match(results, match, members, seconds | provenance))
    return paths


def _machine(begun: dict[str, Any]) -> dict[str, Any]:
    return {name: begun[name] for name in ("hardware", "versions")}


def _write(path: Path, content: dict[str, Any]) -> Path:
    files.write(path, json.dumps(content, indent=1) + "\n")
    return path


def _without_places(command: str) -> str:
    """Drops where one machine keeps its data and its runs."""
    if not command.startswith("python -m "):  # a call in Python
        return command
    start, words = shlex.split(command)[:3], shlex.split(command)[3:]
    places = ("workdir", "config.data.data_dir", "coordinator")
    return shlex.join([*start, *(word for name, word in option_words(words) if name not in places)])
