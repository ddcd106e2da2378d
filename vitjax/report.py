"""Writes what a run learned as one page, W/report/index.html, with its figures beside it.

python -m vitjax.report --workdir=runs/digits

The page needs no network. The run is evaluated first, where that was not done yet.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitjax import cli
from vitjax.compile_cache import use_compile_cache
from vitjax.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from vitjax.inference.evaluation import Source
    from vitjax.reporting.report_page import ReportData
    from vitjax.runs.run_folder import RunFolder


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__)
    workdir = command.string("workdir", None, "Folder of the run.", required=True)
    num_mistakes = command.integer("num_mistakes", 24, "Mistakes to show.", lower_bound=0)
    num_maps = command.integer("num_maps", 6, "Images to show attention on.", lower_bound=0)
    data_dir = command.string("data_dir", "", "Where the data lies, if not where it lay.")
    image_root = command.string("image_root", "", "Folder that the paths of a CSV start from.")
    images = command.texts(
        "images", "Show attention on these images, named as in predictions.npz's ids."
    )

    def main() -> int:
        use_compile_cache()
        from vitjax.inference.evaluation import Source
        from vitjax.reporting.predictions import rights_and_mistakes
        from vitjax.reporting.report_page import write_report

        folder = Path(workdir.value)
        data = gather(folder, Source(data_dir=data_dir.value, image_root=image_root.value))
        if images.value:
            chosen = data.predictions.find(images.value)
        else:
            chosen = rights_and_mistakes(data.predictions, num_maps.value)
        path = write_report(folder / "report", data, num_mistakes.value, chosen)
        print(f"written to {path}")
        return 0

    return command.run(main, argv)


def gather(workdir: Path, source: "Source") -> "ReportData":
    """Reads a run's files, its model and its test images, wherever `source` says they lie now."""
    import numpy as np

    import vitjax
    from vitjax.inference.evaluation import own_data
    from vitjax.reporting.predictions import Predictions
    from vitjax.reporting.report_page import ReportData
    from vitjax.runs.run_folder import RunFolder

    folder, trained = RunFolder(workdir), vitjax.load(workdir)
    evaluation = _evaluation(folder, source)
    predictions = Predictions.read(workdir / "predictions.npz")
    split = own_data(trained, source, print).splits["test"]
    if not np.array_equal(split.labels, predictions.labels):
        raise UserError(
            f"{workdir / 'predictions.npz'} is not of the images in the run's test split; run "
            f"python -m vitjax.evaluate --workdir={workdir} again"
        )
    return ReportData(
        run=folder.read("config.json", "config"),
        changes=changes(trained.config),
        dataset=folder.read("dataset.json", "name"),
        lines=folder.metrics(),
        evaluation=evaluation,
        predictions=predictions,
        images=split.images,
        model=trained.model,
        variables=trained.variables,
        preprocess=trained.preprocess,
    )


def _evaluation(folder: "RunFolder", source: "Source") -> dict[str, Any]:
    """Returns eval.json; evaluates the run where only training has written it so far."""
    from vitjax.inference.evaluation import evaluate

    evaluation = folder.evaluation() or {}
    if "confusion_matrix" in evaluation and (folder.path / "predictions.npz").exists():
        return evaluation
    print(f"evaluating {folder.path}", flush=True)
    return evaluate(folder.path, source=source)


def changes(config: "ConfigDict") -> list[tuple[str, str, str]]:
    """Returns (option, default, value) of what differs from the model's defaults, as JSON."""
    from vitjax.config import default, flatten, to_json

    defaults = flatten(to_json(default(config.model_name)))
    chosen = flatten(to_json(config))
    return [
        (key, json.dumps(defaults.get(key)), json.dumps(value))
        for key, value in chosen.items()
        if value != defaults.get(key)
    ]


if __name__ == "__main__":
    sys.exit(run())
