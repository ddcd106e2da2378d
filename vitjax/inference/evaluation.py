"""A trained run measured on a split of its data, or on other data of the same classes."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vitjax.data.dataset import Dataset, Split
from vitjax.data.source import NAMES
from vitjax.errors import UserError
from vitjax.inference.corruptions import CORRUPTIONS, corruption_numbers
from vitjax.inference.predictor import Predictor, load_predictor
from vitjax.reporting.accuracy import accuracy_numbers
from vitjax.reporting.calibration import calibration_numbers, fit_temperature, probabilities_of
from vitjax.reporting.predictions import Predictions
from vitjax.runs.run_folder import RunFolder
from vitjax.training import setup

Say = Callable[[str], None]


class DataPlace(NamedTuple):
    """Where images come from, as config.data says it; "" means as in the run."""

    name: str = ""  # of another data set
    data_dir: str = ""
    image_root: str = ""
    label_column: str = ""

    @property
    def label(self) -> str:
        """What files on another data set are called after."""
        folder = f"-{Path(self.data_dir).stem}" if self.name in NAMES and self.data_dir else ""
        return re.sub("[/:]", "_", self.name) + folder


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
    data's name behind a hyphen. What training wrote in eval.json stays. Raises UserError in one
    line.
    """
    place = place or DataPlace()
    predictor, folder = load_predictor(workdir), RunFolder(Path(workdir))
    own_test = split == "test" and not place.name
    trained = folder.evaluation()
    if own_test and trained is None:
        raise UserError(
            f"{workdir} is not trained to its end, and the test split is for what is chosen; "
            "finish it with the command in its config.json, or use --split=valid"
        )
    if place.name:
        dataset, own = other_data(predictor, place, say), _own_data_if_there(predictor, say)
    else:
        dataset = own = own_data(predictor, place, say)
    chosen = _split(dataset, split)
    logits = predictor.logits(chosen.images)
    if not np.isfinite(logits).all():
        raise UserError(f"step {predictor.step} of {workdir} gives NaN or infinity on {split}")
    predictions = Predictions(
        probabilities_of(logits).astype(np.float32),
        chosen.labels,
        chosen.ids,
        predictor.class_names,
    )
    found = {
        **accuracy_numbers(predictions.probabilities, chosen.labels, predictor.class_names),
        "calibration": calibration_numbers(
            logits, chosen.labels, _temperature(predictor, own, say)
        ),
    }
    head: dict[str, Any] = {
        "split": split,
        "data_name": dataset.name,
        "step": predictor.step,
        "accuracy": float((predictions.predicted == chosen.labels).mean()),
        "num_examples": len(chosen),
    }
    if own_test and trained is not None:
        _compare(trained["accuracy"], head["accuracy"], say)
        head = trained
    elif own is not None:
        head["loss"] = _loss(predictor.config, own, logits, chosen.labels)
    label = "-".join(filter(None, (place.label, "" if split == "test" else split)))
    ending = f"-{label}" if label else ""
    predictions.write(folder.path / f"predictions{ending}.npz")
    folder.write(f"eval{ending}.json", head | found)
    if not corruptions:
        return head | found
    corrupted = _corrupted(predictor, chosen, head, say)
    folder.write(f"corruptions{ending}.json", corrupted)
    return head | found | {"corruptions": corrupted}


def _corrupted(
    predictor: Predictor, split: Split, head: Mapping[str, Any], say: Say
) -> dict[str, Any]:
    """Returns what corruptions.json holds; `head` is that of eval.json."""
    say(f"corrupting {len(split):,} images in {len(CORRUPTIONS)} ways, each at five strengths")
    names = ("split", "data_name", "step", "num_examples", "accuracy")
    return {name: head[name] for name in names} | corruption_numbers(predictor, split)


def _compare(before: float, now: float, say: Say) -> None:
    """Says so if training measured another accuracy."""
    if abs(before - now) > 0.002:
        say(
            f"warning: training measured an accuracy of {before:.4f}, now it is {now:.4f}: another "
            "device, or other data?"
        )


def predictions(workdir: str | Path, say: Say = print) -> Predictions:
    """Returns what a run says of its test split, evaluating it where that was not done yet."""
    path = Path(workdir) / "predictions.npz"
    if not path.exists():
        say(f"evaluating {workdir}")
        evaluate(workdir, say=say)
    return Predictions.read(path)


def own_data(predictor: Predictor, place: DataPlace, say: Say) -> Dataset:
    """Reads the data that a run was trained on, wherever it lies now; UserError if it differs."""
    config = predictor.config.copy_and_resolve_references()
    _move(config, place)
    try:
        dataset = setup.load(config, say)
    except UserError as error:
        raise UserError(
            f"the data of {predictor.workdir} cannot be read: {error} Where they have moved, give "
            "--data_dir or --image_root of python -m vitjax.evaluate"
        ) from error
    described = RunFolder(predictor.workdir).dataset()
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    now = [list(dataset.class_names), list(dataset.image_shape), sizes]
    names = ("class_names", "image_shape", "num_examples")
    then = [described[name] for name in names]
    for what, new, old in zip(("classes", "image shape", "images"), now, then, strict=True):
        if new != old:
            raise UserError(
                f"{dataset.name} is not what {predictor.workdir} was trained on: {what} {new}, "
                f"then {old}; change --data_dir, or name other data with --data"
            )
    return dataset


def other_data(predictor: Predictor, place: DataPlace, say: Say) -> Dataset:
    """Reads another data set, images made to the run's shape and labels to its classes."""
    config = predictor.config.copy_and_resolve_references()
    config.data.update(name=place.name, data_dir="", image_root="", max_examples=0)
    _move(config, place)
    height, width, channels = predictor.image_shape
    config.data.channels = channels
    config.data.image_size = height if height == width else 0
    dataset = setup.load(config, say)
    if dataset.image_shape != predictor.image_shape:
        raise UserError(
            f"{dataset.name} has images of {dataset.image_shape}, the run of "
            f"{predictor.image_shape}"
        )
    ours, theirs = predictor.class_names, dataset.class_names
    if set(ours) != set(theirs):
        parts = {
            "it lacks": [name for name in ours if name not in theirs],
            "the run lacks": [name for name in theirs if name not in ours],
        }
        told = "; ".join(
            f"{what} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" * (len(names) > 5))
            for what, names in parts.items()
            if names
        )
        raise UserError(f"the classes of {dataset.name} are not those of the run: {told}")
    order = np.array([ours.index(name) for name in theirs], np.int32)
    splits = {
        name: Split(split.images, order[split.labels], split.ids)
        for name, split in dataset.splits.items()
    }
    return Dataset(dataset.name, ours, splits)


def _move(config: ConfigDict, place: DataPlace) -> None:
    """Reads from where `place` says."""
    given = place._replace(name="")._asdict()
    config.data.update({option: value for option, value in given.items() if value})


def _own_data_if_there(predictor: Predictor, say: Say) -> Dataset | None:
    try:
        return own_data(predictor, DataPlace(), say)
    except UserError as error:
        say(str(error))
        return None


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
    return float(np.asarray(losses, float).sum() / np.asarray(weights, float).sum())
