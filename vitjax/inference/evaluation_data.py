"""The data that a finished run is measured on: its own, wherever they lie now, or others."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from vitjax.data.dataset import Dataset, Split
from vitjax.data.duplicates import look_alike
from vitjax.data.source import NAMES
from vitjax.errors import UserError
from vitjax.inference.predictor import Predictor
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
        label = re.sub("[/:]", "_", self.name)
        if not self.data_dir or self.name not in NAMES:
            return label
        path = Path(self.told["data_dir"])
        return f"{label}-{path.stem if path.is_file() else path.name}"  # a folder may be v1.0

    @property
    def told(self) -> dict[str, str]:
        """What tells other data from any of that name: where they lie, as far as it was given."""
        given = self._asdict()
        paths = {key: given[key] for key in ("data_dir", "image_root") if given[key]}
        whole = {key: os.path.realpath(os.path.expanduser(path)) for key, path in paths.items()}
        return whole | ({"label_column": self.label_column} if self.label_column else {})


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
    for name, then in described.get("labels", {}).items():  # older runs do not tell
        if dataset.splits[name].digest() != then:
            raise UserError(
                f"{dataset.name} is not what {predictor.workdir} was trained on: {name} has other "
                "labels, or files of other names; change --data_dir, or name other data with --data"
            )
    for name, then in described.get("pixels", {}).items():
        if dataset.splits[name].digest_of_pixels != then:
            say(
                f"warning: the pixels of {name} are not those of training: files of the same names "
                "that were changed, or that another version of Pillow decodes"
            )
    return dataset


def other_data(predictor: Predictor, place: DataPlace, say: Say, *, valid: bool = False) -> Dataset:
    """Reads another data set, images made to the run's shape and labels to its classes.

    A validation split that is not stored is taken out of train only if `valid` asks for it.
    """
    config = predictor.config.copy_and_resolve_references()
    config.data.update(name=place.name, data_dir="", image_root="", max_examples=0)
    if not valid:
        config.data.valid_fraction = 0.0
    _move(config, place)
    height, width, channels = predictor.image_shape
    config.data.channels = channels
    config.data.image_size = height if height == width else 0
    try:
        dataset = setup.load(config, say)
    except UserError as error:
        raise UserError(
            f"{error} The options of python -m vitjax.evaluate for that are --data and --data_dir."
        ) from error
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
        alike = look_alike(sorted({*ours, *theirs}))
        raise UserError(
            f"the classes of {dataset.name} are not those of the run: {told}"
            + (f"; {alike}" if alike else "")
        )
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


def own_data_if_there(predictor: Predictor, say: Say) -> Dataset | None:
    """Returns the data that a run was trained on; None where they cannot be had, and says why."""
    try:
        return own_data(predictor, DataPlace(), say)
    except UserError as error:
        say(str(error))
        return None
