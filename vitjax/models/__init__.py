"""Networks: usable alone, with flax.linen's `init` and `apply`."""

import dataclasses
from typing import Any

from flax import linen as nn

from vitjax.models.attention import LinformerAttention, SelfAttention
from vitjax.models.count import abstract_params, macs_by_module, num_macs, num_params
from vitjax.models.layers import Block, Encoder, Head, Linear, Mlp, PatchStem
from vitjax.models.linformer import Linformer
from vitjax.models.mixer import Mixer
from vitjax.models.names import choose, nearest
from vitjax.models.vit import ViT

__all__ = [
    "MODELS",
    "Block",
    "Encoder",
    "Head",
    "Linear",
    "Linformer",
    "LinformerAttention",
    "Mixer",
    "Mlp",
    "PatchStem",
    "SelfAttention",
    "ViT",
    "abstract_params",
    "create",
    "defaults",
    "macs_by_module",
    "num_macs",
    "num_params",
]

MODELS: dict[str, type[nn.Module]] = {"linformer": Linformer, "mixer": Mixer, "vit": ViT}

_NOT_OPTIONS = ("num_classes", "dtype", "parent", "name")  # set by the data, the trainer, flax


def defaults(name: str) -> dict[str, Any]:
    """Returns every option of the model `name` with its default."""
    fields = dataclasses.fields(choose(MODELS, name, "config.model_name"))
    return {f.name: f.default for f in fields if f.name not in _NOT_OPTIONS}


def create(name: str, num_classes: int, **options: Any) -> nn.Module:
    """Returns the model `name`; raises ValueError for an unknown name or option."""
    known = {*defaults(name), "dtype"}
    for option in options:
        if option not in known:
            raise ValueError(f"{name} has no option {option!r}{nearest(option, known)}")
    return MODELS[name](num_classes=num_classes, **options)
