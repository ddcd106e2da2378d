"""Weights for a model: what config.finetune.weights names, converted and fitted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flax import linen as nn
from flax.traverse_util import flatten_dict

from vitjax import models
from vitjax.pretrained import locate, weight_files
from vitjax.pretrained.catalog import Entry
from vitjax.pretrained.convert import Arrays
from vitjax.pretrained.fit import fit
from vitjax.pretrained.origins import to_ours
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.weights import is_run, read_variables

Say = Callable[[str], None]


class Inputs(NamedTuple):
    """The images that a model sees."""

    shape: tuple[int, int, int]  # H, W, C
    mean: tuple[float, ...]  # per channel, subtracted from pixels in [0, 1]
    std: tuple[float, ...]  # that they are divided by then


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
    where the classes differ. Says what was read, resized and left out; raises UserError that lists
    all that does not fit.
    """
    found = locate.find(weights)
    tensors = read(found.path, allow_pickle)
    title, converted = to_ours(tensors, type(model).__name__, str(found.path))
    variables, notes = fit(converted, fresh, model, inputs.shape, str(found.path))
    if found.entry is not None:
        notes += _differences(found.entry, model, inputs)
    where = "" if str(found.path) == weights else f" in {found.path}"
    say(f"weights   {weights}: {len(tensors)} arrays of {title}{where}")
    for note in notes:
        say(f"          {note}")
    return variables


def read(path: Path, allow_pickle: bool = False) -> Arrays:
    """Returns the arrays of a file by name, or of a run's best epoch by path; or UserError."""
    if not is_run(path):
        return weight_files.read(path, allow_pickle)
    _, variables = read_variables(RunFolder(path))
    return flatten_dict(variables, sep="/")


# Options that change what is computed, but no array's shape.
_SHAPELESS = (
    "activation",
    "norm",
    "norm_epsilon",
    "num_heads",
    "pool",
    "position_on_class_token",
    "skip",
)


def _differences(entry: Entry, model: nn.Module, inputs: Inputs) -> list[str]:
    """Says where the model and its inputs are not what the weights were trained with."""
    trained_with = models.defaults(entry.model_name) | dict(entry.options)
    notes = [
        f"warning: trained with config.model.{option}={trained_with[option]!r}, "
        f"here {getattr(model, option)!r}"
        for option in _SHAPELESS
        if option in trained_with and getattr(model, option) != trained_with[option]
    ]
    notes += [
        f"warning: trained with config.data.{option}={expected}, here {_rounded(here)}"
        for option, expected, here in (
            ("mean", entry.mean, inputs.mean),
            ("std", entry.std, inputs.std),
        )
        if here != expected
    ]
    if inputs.shape[:2] != (entry.input_size, entry.input_size):
        size = "x".join(map(str, inputs.shape[:2]))
        notes.append(f"trained on images of {entry.input_size} pixels, here {size}")
    return notes


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
