"""The members of a sweep: what each changes, what it is called, and which can train together."""

import ast
import copy
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from vitjax.config import check_keys, flatten, to_json, use_model
from vitjax.data.dataset import Dataset
from vitjax.errors import UserError
from vitjax.training import losses

# Options that a compiled program takes as numbers. What is off (0 or empty) in one member and on in
# another is other code.
_VALUES = (
    "optim.learning_rate",
    "optim.weight_decay",
    "optim.b1",
    "optim.b2",
    "optim.eps",
    "optim.rho",
    "optim.alpha",
    "loss.label_smoothing",
    "schedule.warmup_factor",
    "schedule.end_factor",
    "schedule.gamma",
    "model.embedding_std",
    "data.augment.crop_padding",
    "data.augment.rotation_degrees",
    "data.augment.resized_crop_scale",
    "data.augment.resized_crop_ratio",
    "data.augment.rand_augment_magnitude",
    "data.augment.erasing_probability",
    "data.augment.mixup_alpha",
    "data.augment.cutmix_alpha",
)
_NEVER_OFF = ("seed", "loss.class_weights")  # values whose 0 or name is not an off


# What a sweep runs: such text as --grid takes, the values of each option, or each run's options.
Grid = str | Mapping[str, Sequence[Any]] | Iterable[Mapping[str, Any]]


class Member(NamedTuple):
    """One run of a sweep."""

    name: str
    overrides: Mapping[str, Any]  # what it changes in the sweep's config
    config: ConfigDict


def members(config: ConfigDict, overrides: Iterable[Mapping[str, Any]]) -> list[Member]:
    """Returns a member for each of the overrides, named by what differs between them.

    Raises UserError for an unknown option, a value of another type, and for equal members.
    """
    listed = [dict(each) for each in overrides]
    if not listed:
        raise UserError("the sweep has no members; let sweep() yield overrides, or give --grid")
    configs = [_override(config, each) for each in listed]
    flat = [flatten(each) for each in configs]
    keys = dict.fromkeys(key for each in listed for key in each)
    varied = [k for k in keys if len({json.dumps(f.get(k)) for f in flat}) > 1]
    short = short_names(varied)
    found: dict[str, Member] = {}
    for each, own in zip(listed, configs, strict=True):
        parts = [f"{short[k]}={_text(each[k])}" for k in each if k in varied]
        name = ",".join(parts) or "default"
        if name in found:
            raise UserError(f"two members of the sweep are both {name}; leave one out")
        found[name] = Member(name, each, own)
    return list(found.values())


def _override(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
    own = copy.deepcopy(config)  # else an option that may be of any type takes that of its value
    if "model_name" in changes:
        use_model(own, changes["model_name"])
    for key, value in changes.items():
        check_keys([key], own, where=" in sweep")
        try:
            own.update_from_flattened_dict({key: value})
        except (TypeError, ValueError) as error:
            raise UserError(f"the sweep sets config.{key}={value!r}: {error}") from error
    to_json(own)  # refuses what no file could hold
    return own


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Returns the last word of each key, or the key where two end alike."""
    last = [key.rsplit(".", 1)[-1] for key in keys]
    return {k: w if last.count(w) == 1 else k for k, w in zip(keys, last, strict=True)}


def _text(value: Any) -> str:
    """Returns a value as it stands in a name, which is also that of a folder."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]+", "_", text).strip("_") or "none"


def overrides_of(grid: Grid, config: ConfigDict) -> list[Mapping[str, Any]]:
    """Returns what each run of a grid changes; raises UserError for what is no grid."""
    if isinstance(grid, str):
        return [*parse_grid(grid, config)]
    if isinstance(grid, Mapping):
        for key, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise UserError(f"the grid has {key}={values!r}, expected its values in a list")
        combined = itertools.product(*grid.values())
        return [dict(zip(grid, values, strict=True)) for values in combined]
    if isinstance(grid, Iterable):
        each = list(grid)
        if all(isinstance(changes, Mapping) for changes in each):
            return each
    raise UserError(
        f"{grid!r} is no grid; expected a dictionary of options and lists of their values, as "
        "{'seed': [0, 1]}, or a list with a dictionary for each run"
    )


def parse_grid(text: str, config: ConfigDict) -> list[dict[str, Any]]:
    """Returns the overrides of "KEY=V1,V2;KEY=V1,V2,V3": every combination, the last key fastest.

    The config's own types say how a value is read. Raises UserError for what does not fit.
    """
    axes: dict[str, list[Any]] = {}
    for axis in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, given = axis.partition("=")
        if not equals or not given:
            raise UserError(f"--grid has {axis!r}, expected KEY=VALUE,VALUE,...;KEY=...")
        if key in axes:
            raise UserError(f"--grid has {key} twice; put its values behind one {key}=")
        check_keys([key], config, where=" in --grid")
        # Commas within brackets belong to a value.
        words = re.split(r",(?![^(\[]*[)\]])", given)
        axes[key] = [_parse(key, word.strip(), config) for word in words]
    if not axes:
        raise UserError(f"--grid has {text!r}, expected KEY=VALUE,VALUE,...;KEY=...")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _parse(key: str, word: str, config: ConfigDict) -> Any:
    """Reads a value of an option by the type that the option has."""
    group, _, last = key.rpartition(".")
    kind = (config[group] if group else config).get_type(last)
    try:
        if kind is bool:
            return {"true": True, "false": False}[word.lower()]
        if kind in (int, float):
            return kind(word)
        if kind is tuple:
            return tuple(ast.literal_eval(word))
        if kind is object:
            return ast.literal_eval(word) if word.startswith("(") else word
    except (KeyError, SyntaxError, TypeError, ValueError) as error:
        raise UserError(
            f"--grid has {key}={word}, expected a value of type {kind.__name__}"
        ) from error
    return word


def is_value(key: str) -> bool:
    """Whether members that differ in this option alone can train together."""
    return key in _VALUES or key in _NEVER_OFF or key.endswith("dropout_rate")


def groups(members: Sequence[Member]) -> list[list[Member]]:
    """Returns the members that can train together, in the order of their first ones."""
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(_code(member.config), []).append(member)
    return list(found.values())


def _code(config: ConfigDict) -> str:
    """Returns what of a config decides the program: all but the numbers that it takes."""
    code = {}
    for key, value in flatten(config).items():
        if key not in _NEVER_OFF:
            # Of a number only whether it is on; None is the optimiser's default.
            code[key] = value if not is_value(key) or value is None else bool(value)
    return json.dumps(code, sort_keys=True)


def values(members: Sequence[Member], dataset: Dataset) -> dict[str, np.ndarray]:
    """Returns the options in which the members of a group differ, each stacked to [K, ...]."""
    flat = [flatten(member.config) for member in members]
    stacked = {}
    for key in filter(is_value, flat[0]):
        column = [each[key] for each in flat]
        if all(value == column[0] for value in column):
            continue
        if key == "loss.class_weights":
            labels = dataset.splits["train"].labels
            column = [losses.class_weights(w, labels, dataset.num_classes) for w in column]
        if key == "seed":
            stacked[key] = np.asarray(column, np.uint32)
        else:
            whole = all(isinstance(value, int) for value in column)
            stacked[key] = np.asarray(column, np.int32 if whole else np.float32)
    return stacked


def with_values(config: ConfigDict, values: Mapping[str, jax.Array]) -> ConfigDict:
    """Returns the config with the (traced) values of one member in their places."""
    own = config.copy_and_resolve_references()
    with own.unlocked(), own.ignore_type():
        own.update_from_flattened_dict(dict(values))
    return own
