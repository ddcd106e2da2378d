"""From a finished run to a measured row of the ledger."""

import json
from pathlib import Path
from typing import Any

from vitjax import cli
from vitjax.config import to_json
from vitjax.published.ledger import RESULTS, Row, rows
from vitjax.training.run_folder import RunFolder, differences, flatten


def record(workdir: str) -> Path:
    """Writes results/FAMILY-ROW.json for the run in `workdir`, and returns its path.

    Raises ValueError if the run is not finished, or is not that of a row (its seed may differ).
    """
    folder = RunFolder(Path(workdir))
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


def _row(config: dict[str, Any], workdir: str) -> Row:
    """Returns the row whose config the run has, but for the seed."""
    seed = {"seed": config["seed"]}
    found = flatten(config)
    changes, row = min(
        (
            (differences(flatten(to_json(cli.load_config(row.config)) | seed), found), row)
            for row in rows()
            if row.config is not None
        ),
        key=lambda candidate: len(candidate[0]),
    )
    if changes:
        raise ValueError(
            f"the run in --record={workdir} is that of no row; nearest to {row.family} {row.row}, "
            f"whose {'; '.join(changes)}"
        )
    return row
