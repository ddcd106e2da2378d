"""Google's npz files (https://github.com/google-research/vision_transformer): ViT, AugReg, Mixer.

Flax wrote them, so that kernels are [in, out] already; those of attention keep the heads apart.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from vitjax.pretrained.convert import Origin


def _leaf(layer: str, name: str, value: np.ndarray) -> tuple[str, str, np.ndarray]:
    """Joins heads: [D, H, d] and [H, d] of queries, keys and values, [H, d, D] of what follows."""
    if name == "bias":
        value = value.reshape(-1)
    elif value.ndim == 3 and layer.endswith("mixer/out"):
        value = value.reshape(math.prod(value.shape[:2]), value.shape[2])
    elif value.ndim == 3:
        value = value.reshape(value.shape[0], math.prod(value.shape[1:]))
    return "params", name, value


def _shows(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the number of heads, and how the layer before the logits ends, if there is one."""
    shown: dict[str, Any] = {}
    for name, value in tensors.items():
        if re.fullmatch(_ATTENTION + "query/kernel", name) and value.ndim == 3:
            shown["num_heads"] = value.shape[1]
        if name == "pre_logits/kernel":
            shown["head_activation"] = "tanh"
    return shown


# Flax's GELU is that by tanh unless it is told otherwise.
_SETTINGS = {"norm": "pre", "activation": "gelu_tanh", "norm_epsilon": 1e-6}
_LAYER = r"Transformer/encoderblock_(\d+)/"
_BLOCK = r"encoder/block_\1/"
_ATTENTION = _LAYER + r"MultiHeadDotProductAttention_1/"

VIT = Origin(
    title="Google's ViT",
    models=("ViT",),
    marks=(_LAYER,),
    rules={
        "cls": "class_token",
        "Transformer/posembed_input/pos_embedding": "position_embedding",
        "embedding": "stem",
        _LAYER + "LayerNorm_0": _BLOCK + "mixer_norm",
        _ATTENTION + "query": _BLOCK + "mixer/qkv@0",
        _ATTENTION + "key": _BLOCK + "mixer/qkv@1",
        _ATTENTION + "value": _BLOCK + "mixer/qkv@2",
        _ATTENTION + "out": _BLOCK + "mixer/out",
        _LAYER + "LayerNorm_2": _BLOCK + "mlp_norm",
        _LAYER + "MlpBlock_3/Dense_0": _BLOCK + "mlp/in",
        _LAYER + "MlpBlock_3/Dense_1": _BLOCK + "mlp/out",
        "Transformer/encoder_norm": "final_norm",
        "pre_logits": "head/hidden_0",
        "head": "head/logits",
    },
    leaf=_leaf,
    separator="/",
    settings=_SETTINGS,
    shows=_shows,
)

_MIXER_LAYER = r"MixerBlock_(\d+)/"

MIXER = Origin(
    title="Google's Mixer",
    models=("Mixer",),
    marks=(_MIXER_LAYER,),
    rules={
        "stem": "stem",
        _MIXER_LAYER + "LayerNorm_0": _BLOCK + "mixer_norm",
        _MIXER_LAYER + "token_mixing/Dense_0": _BLOCK + "mixer/mlp/in",
        _MIXER_LAYER + "token_mixing/Dense_1": _BLOCK + "mixer/mlp/out",
        _MIXER_LAYER + "LayerNorm_1": _BLOCK + "mlp_norm",
        _MIXER_LAYER + "channel_mixing/Dense_0": _BLOCK + "mlp/in",
        _MIXER_LAYER + "channel_mixing/Dense_1": _BLOCK + "mlp/out",
        "pre_head_layer_norm": "final_norm",
        "head": "head/logits",
    },
    leaf=_leaf,
    separator="/",
    settings=_SETTINGS,
)
