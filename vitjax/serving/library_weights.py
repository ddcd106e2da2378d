"""Weights of a run for other libraries, under the names that they give the same network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vitjax import files
from vitjax.errors import UserError
from vitjax.inference.predictor import Predictor
from vitjax.inference.report_data import card
from vitjax.pretrained import weight_files
from vitjax.pretrained.convert import Arrays, Origin
from vitjax.pretrained.libraries import hugging_face, lucidrains, timm
from vitjax.pretrained.load import Inputs, load_weights
from vitjax.pretrained.theirs import to_theirs
from vitjax.serving import transformers_config
from vitjax.serving.classify import describe


def _heads_divide_width(predictor: Predictor) -> bool:
    model: Any = predictor.model
    return model.head_dim in (None, model.hidden_dim // model.num_heads)


def _heads_are_projected(predictor: Predictor) -> bool:
    """vit-pytorch has no layer after one head that is as wide as the tokens."""
    model: Any = predictor.model
    return model.num_heads > 1 or model.head_dim not in (None, model.hidden_dim)


def _map_is_seen_whole(predictor: Predictor) -> bool:
    """timm's VGG pools a map after its hidden layers, ours before, where it is larger than 7x7."""
    model: Any = predictor.model
    return model.sees_whole(predictor.input_shape)


_VIT: dict[str, Any] = {  # options that an encoder of these libraries computes no other way
    "stem": {"linear", "conv"},
    "num_registers": 0,
    "norm": "pre",
    "skip": True,
    "layer_scale": 0.0,
    "position_embedding": "learned",
    "final_norm": True,
    "out_proj": True,
    "head_hidden_dims": (),
    "head_activate_logits": False,
}
_WITH_TOKEN = {"pool": "cls", "position_on_class_token": True}
_HEADS = {"head_dim": _heads_divide_width}
_MIXER = {**_VIT, "position_embedding": "none", "pool": "mean", "norm_after_pool": False}
del _MIXER["out_proj"]

Same = tuple[Origin, Mapping[str, Any]]  # a library's network, and the options that it needs
_TRANSFORMERS: dict[str, Same] = {
    "ViT": (hugging_face.VIT, {**_VIT, **_WITH_TOKEN, **_HEADS, "stem_norm": False}),
    "Swin": (hugging_face.SWIN, {"norm_epsilon": 1e-5}),
    "ResNet": (hugging_face.RESNET, {}),
}
_TIMM: dict[str, Same] = {
    "ViT": (timm.VIT, {**_VIT, **_HEADS, "pool": {"cls", "mean"}, "stem_norm": False}),
    "Mixer": (timm.MIXER, {**_MIXER, "stem_norm": False}),
    "Swin": (timm.SWIN, {}),
    "ResNet": (timm.RESNET, {"width": 64}),
    "VGG": (timm.VGG, {"hidden_dims": (4096, 4096), "stage_sizes": _map_is_seen_whole}),
}
_VIT_PYTORCH: dict[str, Same] = {
    "ViT": (
        lucidrains.VIT_PYTORCH,
        {**_VIT, **_WITH_TOKEN, "stem": "linear", "stem_norm": True, "activation": "gelu"}
        | {"qkv_bias": False, "norm_epsilon": 1e-5, "num_heads": _heads_are_projected},
    )
}


def write_ours(path: Path, predictor: Predictor) -> None:
    """Writes a file that --config.finetune.weights reads exactly."""
    weight_files.write(path, flatten_dict(predictor.variables, sep="/"), describe(predictor))


def write_hub(path: Path, predictor: Predictor) -> None:
    """Makes a folder for a repository of the hub, which --config.finetune.weights reads exactly."""
    path.mkdir()
    write_ours(path / "model.safetensors", predictor)
    files.write(path / "config.json", json.dumps(describe(predictor), indent=2) + "\n")
    files.write(path / "README.md", card(predictor.workdir, predictor.step))


def write_timm(path: Path, predictor: Predictor) -> None:
    """Writes what load_state_dict of timm's network of the same sizes takes."""
    _write_theirs(path, predictor, "timm", _TIMM)


def write_vit_pytorch(path: Path, predictor: Predictor) -> None:
    """Writes what load_state_dict of vit-pytorch's ViT of the same sizes takes."""
    _write_theirs(path, predictor, "vit_pytorch", _VIT_PYTORCH)


def write_transformers(path: Path, predictor: Predictor) -> None:
    """Makes a folder that transformers' from_pretrained takes: weights, config and preprocessor.

    The last only where transformers can do what images of the run need.
    Raises UserError where transformers has no such network.
    """
    path.mkdir()
    _write_theirs(path / "model.safetensors", predictor, "transformers", _TRANSFORMERS)
    described = {
        "config.json": transformers_config.network(predictor),
        "preprocessor_config.json": transformers_config.processor(predictor),
    }
    for name, value in described.items():
        if value is not None:
            files.write(path / name, json.dumps(value, indent=2) + "\n")


def read(path: Path, predictor: Predictor) -> Any:
    """Returns the variables that fine-tuning takes from an export; UserError if it warns of any."""
    ours = flatten_dict(predictor.variables, sep="/")
    empty = unflatten_dict({name: np.zeros_like(x) for name, x in ours.items()}, sep="/")
    inputs = Inputs(predictor.input_shape, predictor.mean, predictor.std)
    said: list[str] = []
    variables = load_weights(str(path), empty, predictor.model, inputs, said.append)
    warnings = [line.strip() for line in said if "warning: trained with" in line]
    if warnings:
        raise UserError(
            f"the weights would be of another network: {'; '.join(warnings)}; not written, choose "
            "--format=safetensors, stablehlo or onnx"
        )
    return variables


def _same(predictor: Predictor, library: str, table: Mapping[str, Same]) -> Origin:
    """Returns the library's network that is ours; raises UserError where it has none."""
    name, model = type(predictor.model).__name__, predictor.model
    if name not in table:
        raise UserError(
            f"{library} has no network that computes what {name} does, but of {', '.join(table)}; "
            "choose --format=safetensors, stablehlo or onnx"
        )
    origin, needed = table[name]
    others = [
        f"{option}={getattr(model, option)!r}"
        for option, wanted in needed.items()
        if not _has(predictor, option, wanted)
    ]
    if others:
        raise UserError(
            f"{library} has no {name} with config.model.{', '.join(others)}; choose "
            "--format=safetensors, stablehlo or onnx"
        )
    return origin


def _has(predictor: Predictor, option: str, wanted: Any) -> bool:
    """Whether an option, if there is one, has the value needed, one of a set, or passes a test."""
    if callable(wanted):
        return wanted(predictor)
    value = getattr(predictor.model, option, wanted)
    return value is wanted or (value in wanted if isinstance(wanted, set) else value == wanted)


def _write_theirs(
    path: Path, predictor: Predictor, library: str, table: Mapping[str, Same]
) -> None:
    origin = _same(predictor, library, table)
    arrays: Arrays = flatten_dict(predictor.variables, sep="/")
    size = getattr(predictor.model, "patch_size", 0)
    conv = origin is not lucidrains.VIT_PYTORCH
    kernel = (size, size, predictor.image_shape[-1]) if conv else ()
    theirs = to_theirs(arrays, origin, kernel)
    if not conv:  # which has these without the axis of the batch
        for name in ("cls_token", "pos_embedding"):
            theirs[name] = theirs[name][0]
    weight_files.write(path, theirs, describe(predictor), layout="pt")
