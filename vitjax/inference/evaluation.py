"""A trained run measured on a split of its data, or on other data of the same classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vitjax import files
from vitjax.data.dataset import Dataset, Split
from vitjax.errors import UserError
from vitjax.inference.corruptions import CORRUPTIONS, corruption_numbers
from vitjax.inference.evaluation_data import (
    DataPlace,
    Say,
    other_data,
    own_data,
    own_data_if_there,
)
from vitjax.inference.predictor import Predictor, load_predictor
from vitjax.reporting.accuracy import accuracy_numbers
from vitjax.reporting.calibration import calibration_numbers, fit_temperature, probabilities_of
from vitjax.reporting.predictions import Predictions
from vitjax.runs import contents, manifest, schema
from vitjax.runs.run_folder import RunFolder
from vitjax.training import setup
from vitjax.training.metrics import mean_loss

# That another device may see as other classes than training did.
_MOST_IMAGES, _MOST_SHARE = 3, 0.02


def evaluate(
    workdir: str | Path,
    split: str = "test",
    place: DataPlace | None = None,
    say: Say = print,
    corruptions: bool = False,
) -> dict[str, Any]:
    """Measures the best epoch of a run, writes eval.json and predictions.npz, returns the former.

    With `corruptions` it measures on corrupted images too, writes corruptions.json and returns that
    as "corruptions". The names are of the run's own test split; others have the split's or the
    data's name behind a hyphen. What training wrote in eval.json stays, and so do measures on data
    of that name that lie elsewhere. Raises UserError in one line.
    """
    place = place or DataPlace()
    folder = RunFolder(Path(workdir))
    label = "-".join(filter(None, (place.label, "" if split == "test" else split)))
    ending = f"-{label}" if label else ""
    for file in (f"eval{ending}.json", f"corruptions{ending}.json"):
        _check_not_elsewhere(folder.path / file, place)
    # Which tells before the weights: the run may end in between.
    trained, predictor = folder.evaluation(), load_predictor(workdir)
    own_test = split == "test" and not place.name
    if own_test and trained is None:
        raise UserError(
            f"{workdir} is not trained to its end, and the test split is for what is chosen; "
            "finish it with the command in its config.json, or use --split=valid"
        )
    if place.name:
        dataset = other_data(predictor, place, say, valid=split == "valid")
        own = own_data_if_there(predictor, say)
    else:
        dataset = own = own_data(predictor, place, say)
    chosen = _split(dataset, split)
    said, logits = _predicted(predictor, chosen, split)
    head: dict[str, Any] = {
        "split": split,
        "data_name": dataset.name,
        **(place.told if place.name else {}),
        "step": predictor.step,
        "accuracy": float((said.predicted == chosen.labels).mean()),
        "num_examples": len(chosen),
    }
    if own_test and trained is not None:
        _compare(trained["accuracy"], head["accuracy"], len(chosen), say)
        head = trained
    elif own is not None:
        head["loss"] = _loss(predictor.config, own, logits, chosen.labels)
    found = head | _numbers(said, logits, _temperature(predictor, own, say))
    said.write(folder.path / f"predictions{ending}.npz")
    folder.write_measured(f"eval{ending}.json", found)
    if not corruptions:
        return found
    corrupted = _corrupted(predictor, chosen, head, said.checkpoint, say)
    folder.write_measured(f"corruptions{ending}.json", corrupted)
    return found | {"corruptions": corrupted}


def _check_not_elsewhere(file: Path, place: DataPlace) -> None:
    """Raises UserError where a file holds measures on other data than `place`, of its name."""
    if not (place.name and file.exists()):
        return
    found = schema.read(file, contents.MeasuredFile)
    measured = {key: found[key] for key in contents.DATA_PLACE if key in found}
    if measured and measured != place.told:  # older files do not tell
        told = ", ".join(f"{key} {value}" for key, value in measured.items())
        raise UserError(
            f"{file} holds what was measured on other data ({told}); move it away, with all that "
            f"ends in {file.stem.partition('-')[2]}, or call these data otherwise"
        )


def _predicted(predictor: Predictor, chosen: Split, split: str) -> tuple[Predictions, np.ndarray]:
    """Returns what a run says of the images of a split, and its logits."""
    logits = predictor.logits(chosen.images)
    folder = RunFolder(predictor.workdir)
    if not np.isfinite(logits).all():
        raise UserError(f"step {predictor.step} of {folder.path} gives NaN or infinity on {split}")
    said = Predictions(
        probabilities_of(logits).astype(np.float32),
        chosen.labels,
        chosen.ids,
        predictor.class_names,
        manifest.digest(folder.checkpoints / str(predictor.step)),
    )
    return said, logits


def _numbers(said: Predictions, logits: np.ndarray, temperature: float | None) -> dict[str, Any]:
    """Returns what eval.json says of classes and calibration."""
    return {
        **accuracy_numbers(said.probabilities, said.labels, said.class_names),
        "calibration": calibration_numbers(logits, said.labels, temperature),
    }


def _corrupted(
    predictor: Predictor, split: Split, head: Mapping[str, Any], checkpoint: str, say: Say
) -> dict[str, Any]:
    """Returns what corruptions.json holds; `head` is that of eval.json, both of a checkpoint."""
    say(f"corrupting {len(split):,} images in {len(CORRUPTIONS)} ways, each at five strengths")
    names = ("split", "data_name", *contents.DATA_PLACE, "step", "num_examples", "accuracy")
    told = {name: head[name] for name in names if name in head} | {"checkpoint": checkpoint}
    return told | corruption_numbers(predictor, split)


def _compare(before: float, now: float, count: int, say: Say) -> None:
    """Says so if training measured another accuracy of `count` images; UserError if a far one."""
    difference = abs(before - now)
    if difference * count > max(_MOST_IMAGES, _MOST_SHARE * count):
        raise UserError(
            f"training measured {before:.4f} on test, now it is {now:.4f}: other images of the "
            "same names; change --data_dir or --image_root, or name other data with --data"
        )
    if difference > 0.002:
        say(
            f"warning: training measured an accuracy of {before:.4f}, now it is {now:.4f}: another "
            "device, or other data?"
        )


def predictions(
    workdir: str | Path, place: DataPlace | None = None, say: Say = print
) -> Predictions:
    """Returns what a run says of its test split, evaluating it where its weights did not say it."""
    folder = RunFolder(files.local_folder(workdir))
    path = folder.path / "predictions.npz"
    if path.exists():
        found = Predictions.read(path)
        if found.checkpoint and found.checkpoint == folder.evaluated_checkpoint():
            return found
    say(f"evaluating {workdir}")
    evaluate(workdir, place=place, say=say)
    return Predictions.read(path)


def _split(dataset: Dataset, name: str) -> Split:
    if name not in dataset.splits:
        raise UserError(
            f"{dataset.name} has no split {name}; choose --split from {', '.join(dataset.splits)}"
        )
    return dataset.splits[name]


def _temperature(predictor: Predictor, own: Dataset | None, say: Say) -> float | None:
    """Returns the temperature that fits validation; None without a validation split."""
    if own is None or "valid" not in own.splits:
        say("no validation split of the run's own data: no temperature")
        return None
    valid = own.splits["valid"]
    return fit_temperature(predictor.logits(valid.images), valid.labels)


def _loss(config: ConfigDict, dataset: Dataset, logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the loss of training, with its label smoothing and class weights."""
    targets = np.eye(dataset.num_classes, dtype=np.float32)[labels]
    losses, weights = setup.make_loss(config, dataset)(jnp.asarray(logits), jnp.asarray(targets))
    return mean_loss(*(float(np.asarray(each, float).sum()) for each in (losses, weights)))
