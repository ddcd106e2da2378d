"""What weights were trained with, where their arrays do not show it, beside what a run computes.

Told by the catalogue, by a config.json beside the weights, by vitjax's own files, or known of the
library that wrote them.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flax import linen as nn

from vitjax import models
from vitjax.errors import UserError
from vitjax.pretrained.catalog import Entry
from vitjax.pretrained.resize import Size
from vitjax.text import one_line


class Inputs(NamedTuple):
    """The images that a model sees."""

    shape: tuple[int, int, int]  # H, W, C
    mean: tuple[float, ...]  # per channel, subtracted from pixels in [0, 1]
    std: tuple[float, ...]  # that they are divided by then


@dataclasses.dataclass(frozen=True)
class TrainedWith:
    """What is known of it: by default nothing."""

    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # options
    mean: tuple[float, ...] = ()  # (): unknown
    std: tuple[float, ...] = ()  # (): unknown
    image_size: Size | None = None  # pixels; None: unknown
    refused: tuple[str, ...] = ()  # what is computed otherwise here, whatever the options
    notes: tuple[str, ...] = ()


Describe = Callable[[Mapping[str, Any]], TrainedWith | None]  # of a config.json; None: another's


class Rule(NamedTuple):
    """What a setting of another library is here."""

    option: str = ""  # of the model; "": none, there is one way
    values: Mapping[Any, Any] | None = None  # theirs -> ours; None: ours are theirs


def translate(settings: Mapping[str, Any], rules: Mapping[str, Rule]) -> TrainedWith:
    """Returns what settings of another library are here, those that rules name."""
    options, refused = {}, []
    for name, (option, values) in rules.items():
        if name not in settings:
            continue
        value = _tupled(settings[name])
        ours = [value] if values is None else [values[key] for key in values if key == value]
        if not ours:
            refused.append(f"{name}={value!r}, expected {_one_of(values or ())}")
        elif option:
            options[option] = ours[0]
    return TrainedWith(options, refused=tuple(refused))


def _tupled(value: Any) -> Any:
    """Undoes what JSON makes of a tuple of numbers."""
    return tuple(value) if isinstance(value, list) else value


def _one_of(values: Any) -> str:
    return repr(*values) if len(values) == 1 else f"one of {', '.join(sorted(values))}"


# Options that change what is computed, but no array's shape or name.
_SHAPELESS = (
    "activation",
    "head_activate_logits",
    "head_activation",
    "norm",
    "norm_epsilon",
    "num_heads",
    "pool",
    "position_embedding",
    "position_on_class_token",
    "skip",
    "tiling",
)


def of_entry(entry: Entry) -> TrainedWith:
    """Returns what the catalogue tells."""
    options = models.defaults(entry.model_name) | dict(entry.options)
    return TrainedWith(_shapeless(options), entry.mean, entry.std, to_size(entry.input_size))


def of_options(options: Mapping[str, Any], image_size: Size | None) -> TrainedWith:
    """Returns what the options of a model of vitjax tell, and the size of its images if known."""
    return TrainedWith(_shapeless(options), image_size=image_size)


def to_size(value: Any) -> Size | None:
    """Returns the size that JSON gives as one side or as [height, width]; None for all else."""
    sides = [value, value] if isinstance(value, int) else value
    if not isinstance(sides, list) or len(sides) != 2:
        return None
    return (sides[0], sides[1]) if all(isinstance(n, int) and n > 0 for n in sides) else None


def _shapeless(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _tupled(options[name]) for name in _SHAPELESS if name in options}


def of_config(path: Path, describe: Describe | None) -> TrainedWith:
    """Returns what a config.json of another library tells; a note where it is something else.

    Raises UserError where it tells of what no option here computes.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return TrainedWith(
            notes=(f"warning: {path} is damaged, and not checked: {one_line(error)}",)
        )
    told = describe(config) if describe is not None and isinstance(config, dict) else None
    if told is None:
        note = f"{path} is not of the library of the weights, and is not read"
        return TrainedWith(notes=(note,))
    if told.refused:
        raise UserError(
            f"{path} says {'; '.join(told.refused)}; vitjax computes no other, change "
            "config.finetune.weights"
        )
    return told


def differences(trained: TrainedWith, model: nn.Module, inputs: Inputs) -> list[str]:
    """Says where the model and its inputs are not what the weights were trained with."""
    notes = [
        f"warning: trained with config.model.{option}={value!r}, here {getattr(model, option)!r}"
        for option, value in trained.model.items()
        if _matters(option, model, inputs) and getattr(model, option) != value
    ]
    notes += [
        f"warning: trained with config.data.{option}={expected}, here {_rounded(here)}"
        for option, expected, here in (
            ("mean", trained.mean, inputs.mean),
            ("std", trained.std, inputs.std),
        )
        if expected and here != expected
    ]
    size = trained.image_size
    if size is not None and inputs.shape[:2] != size:
        here, theirs = ("x".join(map(str, each)) for each in (inputs.shape[:2], size))
        side = str(size[0]) if size[0] == size[1] else theirs
        notes.append(f"trained on images of {side} pixels, here {here}")
    return [*notes, *trained.notes]


def _matters(option: str, model: Any, inputs: Inputs) -> bool:
    """Whether the model has an option that changes what it computes for such images."""
    if option == "tiling" and hasattr(model, option):
        return not model.tiled_alike(*inputs.shape[:2])
    return hasattr(model, option)


def _rounded(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
