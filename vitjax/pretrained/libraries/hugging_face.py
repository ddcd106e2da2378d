"""Hugging Face transformers: what `save_pretrained` writes, and what lies on the hub.

A bare ViTModel has no prefix "vit."; its pooler belongs to no classifier. Version 5 names layers
otherwise in memory, which a state dict that was not written by save_pretrained shows.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vitjax.pretrained.convert import Origin
from vitjax.pretrained.trained_with import Describe, Rule, TrainedWith, to_size, translate

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
_RULES = {
    "hidden_act": Rule("activation", _ACTIVATIONS),
    "layer_norm_eps": Rule("norm_epsilon"),
}


def _describe(networks: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Rule]) -> Describe:
    """Returns a reader of config.json.

    `networks` are the values of model_type that are computed here, with the library's defaults for
    what a config.json leaves out; other networks may have the same arrays.
    """

    def describe(config: Mapping[str, Any]) -> TrainedWith | None:
        """Returns what a config.json tells; None where it is none of this library's."""
        if "model_type" not in config:
            return None
        kind = {"model_type": Rule(values=dict.fromkeys(networks))}
        told = translate(config, kind)
        if told.refused:
            return told
        told = translate({**networks[config["model_type"]], **config}, rules)
        return dataclasses.replace(told, image_size=to_size(config.get("image_size")))

    return describe


_VIT_DEFAULTS = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "num_attention_heads": 12}
_VIT = r"(?:vit\.)?"
_LAYER = _VIT + r"(?:encoder\.layer|layers)\.(\d+)\."
_BLOCK = r"encoder/block_\1/"

VIT = Origin(
    title="Hugging Face's ViT",
    models=("ViT",),
    marks=(_VIT + r"embeddings\.patch_embeddings\.projection\.weight",),
    rules={
        _VIT + r"embeddings\.cls_token": "class_token",
        _VIT + r"embeddings\.position_embeddings": "position_embedding",
        _VIT + r"embeddings\.patch_embeddings\.projection": "stem",
        _LAYER + r"layernorm_before": _BLOCK + "mixer_norm",
        _LAYER + r"attention\.(?:attention\.query|q_proj)": _BLOCK + "mixer/qkv@0",
        _LAYER + r"attention\.(?:attention\.key|k_proj)": _BLOCK + "mixer/qkv@1",
        _LAYER + r"attention\.(?:attention\.value|v_proj)": _BLOCK + "mixer/qkv@2",
        _LAYER + r"attention\.(?:output\.dense|o_proj)": _BLOCK + "mixer/out",
        _LAYER + r"layernorm_after": _BLOCK + "mlp_norm",
        _LAYER + r"(?:intermediate\.dense|mlp\.fc1)": _BLOCK + "mlp/in",
        _LAYER + r"(?:output\.dense|mlp\.fc2)": _BLOCK + "mlp/out",
        _VIT + "layernorm": "final_norm",
        "classifier": "head/logits",
    },
    ignored=(_VIT + r"pooler\.dense\.(?:weight|bias)", _VIT + r"embeddings\.mask_token"),
    describe=_describe(
        {"vit": _VIT_DEFAULTS, "vit_msn": _VIT_DEFAULTS | {"layer_norm_eps": 1e-6}},
        _RULES | {"num_attention_heads": Rule("num_heads")},
    ),
)

_SWIN = r"(?:swin\.)?"
_STAGE = _SWIN + r"encoder\.layers\.(\d+)\."
_WINDOWS = _STAGE + r"blocks\.(\d+)\."
_STAGE_BLOCK = r"stage_\1/block_\2/"

SWIN = Origin(
    title="Hugging Face's Swin",
    models=("Swin",),
    marks=(_SWIN + r"encoder\.layers\.0\.blocks\.0\.", _SWIN + r"embeddings\.patch_embeddings\."),
    rules={
        _SWIN + r"embeddings\.patch_embeddings\.projection": "stem",
        _SWIN + r"embeddings\.norm": "stem/token_norm",
        _WINDOWS + r"layernorm_before": _STAGE_BLOCK + "mixer_norm",
        _WINDOWS + r"attention\.self\.relative_position_bias_table": (
            _STAGE_BLOCK + "mixer/relative_position_bias"
        ),
        _WINDOWS + r"attention\.self\.query": _STAGE_BLOCK + "mixer/qkv@0",
        _WINDOWS + r"attention\.self\.key": _STAGE_BLOCK + "mixer/qkv@1",
        _WINDOWS + r"attention\.self\.value": _STAGE_BLOCK + "mixer/qkv@2",
        _WINDOWS + r"attention\.output\.dense": _STAGE_BLOCK + "mixer/out",
        _WINDOWS + r"layernorm_after": _STAGE_BLOCK + "mlp_norm",
        _WINDOWS + r"intermediate\.dense": _STAGE_BLOCK + "mlp/in",
        _WINDOWS + r"output\.dense": _STAGE_BLOCK + "mlp/out",
        # They end a stage with the merging that begins our next one.
        **{
            _SWIN + rf"encoder\.layers\.{i}\.downsample\.(norm|reduction)": (
                rf"stage_{i + 1}/merging/\1"
            )
            for i in range(3)
        },
        _SWIN + "layernorm": "final_norm",
        "classifier": "head/logits",
    },
    ignored=(_WINDOWS + r"attention\.self\.relative_position_index", r".*embeddings\.mask_token"),
    settings={"tiling": "transformers"},
    describe=_describe(
        {"swin": {"hidden_act": "gelu", "layer_norm_eps": 1e-5}},
        # Its first norm and those of mergings have 1e-5 in any case.
        _RULES | {"layer_norm_eps": Rule("norm_epsilon", {1e-5: 1e-5})},
    ),
)

_RESNET = r"(?:resnet\.)?"
_RESIDUAL = _RESNET + r"encoder\.stages\.(\d+)\.layers\.(\d+)\."

_of_resnet = _describe(
    {"resnet": {}},
    {
        "hidden_act": Rule(values={"relu": ""}),
        "downsample_in_first_stage": Rule(values={False: ""}),
        "downsample_in_bottleneck": Rule(values={False: ""}),
    },
)


def _describe_resnet(config: Mapping[str, Any]) -> TrainedWith | None:
    """Of a config.json, whose downsample_in_bottleneck a basic block does not read."""
    basic = config.get("layer_type") == "basic"
    return _of_resnet({**config, "downsample_in_bottleneck": False} if basic else config)


RESNET = Origin(
    title="Hugging Face's ResNet",
    models=("ResNet",),
    marks=(_RESNET + r"embedder\.embedder\.convolution\.weight",),
    rules={
        _RESNET + r"embedder\.embedder\.convolution": "stem",
        _RESNET + r"embedder\.embedder\.normalization": "stem/norm",
        _RESIDUAL + r"layer\.(\d)\.convolution": _STAGE_BLOCK + r"conv_\3",
        _RESIDUAL + r"layer\.(\d)\.normalization": _STAGE_BLOCK + r"conv_\3/norm",
        _RESIDUAL + r"shortcut\.convolution": _STAGE_BLOCK + "shortcut",
        _RESIDUAL + r"shortcut\.normalization": _STAGE_BLOCK + "shortcut/norm",
        r"classifier\.1": "head/logits",
    },
    ignored=(r".*\.num_batches_tracked",),
    describe=_describe_resnet,
)
