"""What a report is made of: a run's files, its model, and the images of its test split."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from vitjax.config import default, flatten, to_json
from vitjax.data.images import Images
from vitjax.errors import UserError
from vitjax.inference.corruptions import CORRUPTIONS, examples
from vitjax.inference.evaluation import evaluate, predictions
from vitjax.inference.evaluation_data import DataPlace, Say, own_data
from vitjax.inference.predictor import load_predictor
from vitjax.reporting.model_card import model_card
from vitjax.reporting.predictions import Predictions
from vitjax.reporting.report_page import ReportData
from vitjax.reporting.robustness import Robustness
from vitjax.runs.run_folder import RunFolder
from vitjax.text import all_printable


def report_data(workdir: Path, place: DataPlace, say: Say) -> ReportData:
    """Reads a run, wherever `place` says that its images lie now, evaluated if it was not yet."""
    folder, predictor = RunFolder(workdir), load_predictor(workdir)
    evaluation, said = _evaluated(folder, place, say)
    if list(evaluation["per_class"]) != list(said.class_names):
        raise UserError(
            f"{workdir / 'predictions.npz'} and eval.json have other classes; run "
            f"python -m vitjax.evaluate --workdir={workdir} again"
        )
    split = own_data(predictor, place, say).splits["test"]
    if not np.array_equal(split.labels, said.labels):
        raise UserError(
            f"{workdir / 'predictions.npz'} is not of the images in the run's test split; run "
            f"python -m vitjax.evaluate --workdir={workdir} again"
        )
    return ReportData(
        run=folder.begun(),
        changes=changes(predictor.config),
        dataset=folder.dataset(),
        lines=folder.metrics(),
        evaluation=evaluation,
        predictions=said,
        images=split.images,
        model=predictor.model,
        variables=predictor.variables,
        preprocess=predictor.preprocess,
        robustness=_robustness(folder, split.images),
    )


def _robustness(folder: RunFolder, images: Images) -> Robustness | None:
    """Returns what corruptions cost, shown on the first of the images; None if not measured."""
    found = folder.corruptions()
    if found is None:
        return None
    evaluated = folder.evaluated_checkpoint()
    if found.get("checkpoint", evaluated) != evaluated:  # older files do not tell
        raise UserError(
            f"{folder.path / 'corruptions.json'} is of other weights; run python -m "
            f"vitjax.evaluate --corruptions --workdir={folder.path} again"
        )
    strengths = {name: of["strengths"] for name, of in found["corruptions"].items()}
    if strengths != {name: [*of.strengths] for name, of in CORRUPTIONS.items()}:
        raise UserError(
            f"{folder.path / 'corruptions.json'} is not of the corruptions that are known here; "
            f"run python -m vitjax.evaluate --corruptions --workdir={folder.path} again"
        )
    return Robustness(found, images[0], examples(images[0], 0))


def card(workdir: Path, step: int | None = None) -> str:
    """Returns the model card of a run, with the metrics that were measured so far.

    With a `step`, it is of the weights of that step, and has metrics only if they are of these.
    """
    folder = RunFolder(workdir)
    evaluation = folder.evaluation()
    if evaluation and step not in (None, evaluation["step"]):
        evaluation = None
    parts = folder.begun(), folder.dataset(), evaluation
    run, dataset, evaluation = map(all_printable, parts)  # UTF-8 has no bytes for what is no text
    name = f"{run['config']['model_name']}-{dataset['name']}"
    return model_card(run, dataset, evaluation, re.sub(r"[^\w.-]", "-", name))


def _evaluated(folder: RunFolder, place: DataPlace, say: Say) -> tuple[dict[str, Any], Predictions]:
    """Returns eval.json and predictions.npz; evaluates the run where that was not done yet."""
    if "confusion_matrix" not in (folder.evaluation() or {}):
        say(f"evaluating {folder.path}")
        evaluate(folder.path, place=place, say=say)
    said = predictions(folder.path, place, say)
    return folder.evaluation() or {}, said


def changes(config: ConfigDict) -> list[tuple[str, str, str]]:
    """Returns (option, default, value) of what differs from the model's defaults, as JSON."""
    defaults = flatten(to_json(default(config.model_name)))
    chosen = flatten(to_json(config))
    return [
        (key, json.dumps(defaults.get(key)), json.dumps(value))
        for key, value in chosen.items()
        if value != defaults.get(key)
    ]
