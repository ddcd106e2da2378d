"""What values the options of a run may have."""

import math
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from vitjax import models
from vitjax.config.defaults import default
from vitjax.config.forms import flatten
from vitjax.errors import raise_all

_AT_LEAST_1 = (
    "num_epochs",
    "data.batch_size",
    "data.eval_batch_size",
    "optim.accumulation_steps",
    "mesh.fsdp",
    "schedule.step_size",
    "model.patch_size",
    "model.stem_dim",
    "model.hidden_dim",
    "model.num_layers",
    "model.stage_sizes",
    "model.width",
    "model.window_size",
    "model.mlp_ratio",
    "model.num_heads",
    "model.head_dim",
    "model.mlp_dim",
    "model.tokens_mlp_dim",
    "model.k_dim",
)
_AT_LEAST_0 = (
    "seed",
    "steps_per_call",
    "patience",
    "data.image_size",
    "data.input_size",
    "data.max_examples",
    "data.num_workers",
    "data.split_seed",
    "mesh.data",
    "optim.weight_decay",
    "optim.clip_norm",
    "optim.skip_nonfinite",
    "optim.eps",
    "model.norm_epsilon",
    "schedule.warmup_epochs",
    "schedule.warmup_factor",
    "schedule.end_factor",
    "schedule.gamma",
    "model.embedding_std",
    "model.layer_scale",
    "model.num_registers",
    "finetune.head_factor",
)
_OF_CHANNELS = {  # of pixels in [0, 1]; a smaller std overflows where images are normalised
    "data.mean": (0, 1),
    "data.std": (1e-6, 1),
}
_BELOW_1 = (
    "loss.label_smoothing",
    "optim.ema_decay",
    "optim.b1",
    "optim.b2",
    "optim.momentum",
    "optim.rho",
    "optim.alpha",
)
_AT_MOST = {"data.image_size": 2**14, "data.input_size": 2**14, "model.num_layers": 10_000}
_WIDTHS = ("model.head_hidden_dims", "model.hidden_dims")  # of layers, or ()
_OF_STAGES = ("model.stage_sizes", "model.num_heads")  # a number for each, in some models
_MOST = 3.4e38  # of a number with a point
_CHOICES = {
    "dtype": ("auto", "float32", "bfloat16"),
    "select_by": ("accuracy", "loss"),
    "data.channels": (0, 1, 3),
    "data.stream": ("auto", "always", "never"),
}


def check(config: ConfigDict) -> None:
    """Raises UserError for the options that are outside their ranges, all at once."""
    raise_all(list(problems(config).values()))


def problems(config: ConfigDict) -> dict[str, str]:
    """Returns what is wrong with each option that is outside its range, by the option's name."""
    is_known = config.model_name in (*models.MODELS, *models.VARIANTS)
    usual = flatten(default(config.model_name) if is_known else default())
    found = {}
    for key, value in flatten(config).items():
        expected = _kind_expected(key, value, usual.get(key))
        if expected or (value is not None and (expected := _expected(key, value))):
            shown = repr(value) if isinstance(value, str) else value
            found[key] = f"config.{key}={shown} should be {expected}"
    return found


def _kind_expected(key: str, value: Any, usual: Any) -> str:
    """Returns what an option should be where it is of another kind than its default, or huge."""
    if value is None:
        return "" if usual is None else f"a value, such as {usual!r}"
    if isinstance(value, bool) and isinstance(usual, int | float) and not isinstance(usual, bool):
        return f"a number, such as {usual}"
    most = _AT_MOST.get(key, 2**31 - 1)
    is_huge = isinstance(value, int) and abs(value) > most and not key.endswith("seed")
    return f"at most {most:,}" if is_huge else ""


def _expected(key: str, value: Any) -> str:
    """Returns what an option should be where it is not that; "" where it is."""
    bound = _bound(key, value)
    if _has(value, lambda number: isinstance(number, float) and not math.isfinite(number)):
        return " and ".join(["finite", bound] if bound else ["finite"])
    if _has(value, lambda number: isinstance(number, float) and abs(number) > _MOST):
        return f"at most {_MOST:.1e}, as float32 has it"
    return bound


def _bound(key: str, value: Any) -> str:
    if key in _AT_LEAST_1 and not _at_least_1(value):
        return "at least 1"
    if key in _AT_LEAST_0 and not 0 <= value < math.inf:
        return "at least 0"
    is_rate = key in _BELOW_1 or key.endswith(("dropout_rate", "drop_path_rate"))
    if is_rate and not 0 <= value < 1:
        return "at least 0 and below 1"
    if key in _CHOICES and value not in _CHOICES[key]:
        return f"one of {_CHOICES[key]}"
    is_of_each = key in _WIDTHS or (key in _OF_STAGES and isinstance(value, tuple | list))
    if is_of_each and not all(isinstance(n, int) and n > 0 for n in value):
        return "whole numbers above 0"
    if key == "finetune.layer_decay" and not 0 < value <= 1:
        return "above 0 and at most 1"
    if key == "seed" and value >= 2**32:
        return "below 2**32"
    if key == "distill.weight" and not 0 <= value <= 1:
        return "at least 0 and at most 1"
    if key in ("optim.learning_rate", "distill.temperature") and not 0 < value < math.inf:
        return "above 0"
    if key == "loss.class_weights" and _has(value, lambda number: isinstance(number, bool)):
        return "uniform, balanced or a number for each class"
    if key in _OF_CHANNELS:
        return _of_channels(*_OF_CHANNELS[key], value)
    return ""


def _of_channels(low: float, high: float, values: Any) -> str:
    if not all(isinstance(value, int | float) for value in values):
        return "numbers, one a channel"
    if not all(low <= value <= high for value in values):
        return f"from {low:g} to {high:g}, as pixels are in [0, 1]"
    return ""


def _has(value: Any, wrong: Callable[[Any], bool]) -> bool:
    """Whether something is wrong with a value, or with one of a tuple."""
    return any(map(wrong, value)) if isinstance(value, tuple | list) else wrong(value)


def _at_least_1(value: Any) -> bool:
    """Whether a number, or each of the numbers of a tuple that has any, is at least 1."""
    values = value if isinstance(value, tuple | list) else (value,)
    return bool(values) and all(isinstance(v, int | float) and v >= 1 for v in values)
