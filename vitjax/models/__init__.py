"""Networks: usable alone, with flax.linen's `init` and `apply`."""

import dataclasses
from typing import Any

from flax import linen as nn

from vitjax.errors import UserError
from vitjax.models.count import (
    abstract_params,
    abstract_variables,
    macs_by_module,
    num_macs,
    num_params,
)
from vitjax.models.linformer import Linformer
from vitjax.models.mixer import Mixer
from vitjax.models.names import check_name, nearest
from vitjax.models.parts.attention import LinformerAttention, SelfAttention
from vitjax.models.parts.layers import Block, Encoder, Head, Linear, Mlp
from vitjax.models.parts.stem import PatchStem
from vitjax.models.resnet import ResNet
from vitjax.models.swin import Swin
from vitjax.models.variants import VARIANTS
from vitjax.models.vgg import VGG
from vitjax.models.vit import ViT

__all__ = [
    "MODELS",
    "VARIANTS",
    "VGG",
    "Block",
    "Encoder",
    "Head",
    "Linear",
    "Linformer",
    "LinformerAttention",
    "Mixer",
    "Mlp",
    "PatchStem",
    "ResNet",
    "SelfAttention",
    "Swin",
    "ViT",
    "abstract_params",
    "abstract_variables",
    "create",
    "defaults",
    "macs_by_module",
    "num_macs",
    "num_params",
]

MODELS: dict[str, type[nn.Module]] = {
    "linformer": Linformer,
    "mixer": Mixer,
    "resnet": ResNet,
    "swin": Swin,
    "vgg": VGG,
    "vit": ViT,
}

_NOT_OPTIONS = ("num_classes", "dtype", "parent", "name")  # set by the data, the trainer, flax


def _find(name: str) -> tuple[type[nn.Module], dict[str, Any]]:
    """Returns the class of a model or variant, and the options that the variant sets."""
    check_name((*MODELS, *VARIANTS), name, "config.model_name")
    model, options = VARIANTS.get(name, (name, {}))
    return MODELS[model], options


def defaults(name: str) -> dict[str, Any]:
    """Returns every option of the model or variant `name` with its default."""
    model, options = _find(name)
    fields = [f for f in dataclasses.fields(model) if f.name not in _NOT_OPTIONS]
    return {f.name: options.get(f.name, f.default) for f in fields}


def create(name: str, num_classes: int, **options: Any) -> nn.Module:
    """Returns the model or variant `name`; raises UserError for an unknown name or option."""
    model, preset = _find(name)
    known = {*defaults(name), "dtype"}
    for option in options:
        if option not in known:
            raise UserError(f"{name} has no option {option!r}{nearest(option, known)}")
    return model(num_classes=num_classes, **preset | options)
