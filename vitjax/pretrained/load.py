"""Weights for a model: what config.finetune.weights names, converted and fitted."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

from vitjax.pretrained import locate, trained_with, weight_files
from vitjax.pretrained.convert import Arrays, Converted
from vitjax.pretrained.fit import fit
from vitjax.pretrained.origins import to_ours
from vitjax.pretrained.trained_with import Inputs, TrainedWith, to_size
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.saved_config import read_options
from vitjax.runs.weights import is_run, read_variables

Say = Callable[[str], None]


def load_weights(
    weights: str,
    fresh: Any,
    model: nn.Module,
    inputs: Inputs,
    say: Say,
    allow_pickle: bool = False,
) -> Any:
    """Returns variables of `model` for such inputs with the weights that `weights` names.

    `weights` is a file, a folder with one, a run's folder, a name of the catalogue, or
    hub:OWNER/REPO/FILE. `fresh` are the model's own variables: they give the shapes, and the head
    where the classes differ. Says what was read, resized and left out, and where the weights were
    trained otherwise; raises UserError that shows what does not fit.
    """
    found = locate.find(weights)
    notes: list[str] = []
    tensors = read(found.path, allow_pickle, notes.append)
    what = str(found.path)
    title, converted = to_ours(tensors, type(model).__name__, what)
    told = _trained_with(found, converted)
    variables, changes = fit(converted, fresh, model, inputs.shape, what, told.image_size)
    notes += changes + trained_with.differences(told, model, inputs)
    where = "" if what == weights else f" in {what}"
    say(f"weights   {weights}: {len(tensors)} arrays of {title}{where}")
    for note in notes:
        say(f"          {note}")
    return variables


def read(path: Path, allow_pickle: bool = False, say: Say = weight_files.quiet) -> Arrays:
    """Returns the arrays of a file by name, or of a run's best epoch by path; or UserError."""
    if not is_run(path):
        return weight_files.read(path, allow_pickle, say)
    _, variables = read_variables(RunFolder(path))
    return flatten_dict(variables, sep="/")


def digest(weights: str, allow_pickle: bool = False) -> str:
    """Returns what tells the arrays that `weights` names from any others."""
    hashed = hashlib.sha256()
    for name, array in sorted(read(locate.find(weights).path, allow_pickle).items()):
        hashed.update(f"{name} {array.dtype} {array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def _trained_with(found: locate.Found, converted: Converted) -> TrainedWith:
    """Returns what is known of how weights were trained."""
    origin = converted.origin
    if found.entry is not None:
        told = trained_with.of_entry(found.entry)
    elif origin is None:
        told = _of_our_own(found.path)
    elif found.config is not None:
        told = trained_with.of_config(found.config, origin.describe)
    else:
        told = TrainedWith()
    settings = {} if origin is None else origin.settings
    return dataclasses.replace(told, model={**told.model, **converted.shown, **settings})


def _of_our_own(path: Path) -> TrainedWith:
    """Returns what a run of vitjax, or a file that it exported, tells of its weights."""
    if is_run(path):
        folder = RunFolder(path)
        config = read_options(folder)
        size = config["data"]["input_size"] or folder.dataset()["image_shape"][:2]
        return trained_with.of_options(config["model"], to_size(size))
    told = weight_files.metadata(path)
    options, shape = told.get("model"), told.get("input_shape")
    return trained_with.of_options(
        options if isinstance(options, dict) else {},
        to_size(shape[:2]) if isinstance(shape, list) else None,
    )
