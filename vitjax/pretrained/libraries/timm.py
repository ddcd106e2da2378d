"""timm (https://github.com/huggingface/pytorch-image-models), torchvision, and Swin's authors.

timm names a ResNet as torchvision does. Its Swin begins a stage with the merging, as here; the
authors' files, and timm's before 0.9, end the stage before it so.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vitjax.pretrained.convert import Origin, torch_leaf
from vitjax.pretrained.resize import Size
from vitjax.pretrained.trained_with import Describe, Rule, TrainedWith, to_size, translate

_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "relu": "relu"}
_SHOWN = (  # arguments of a model that arrays show, or that change nothing they compute
    *("block", "class_token", "depth", "depths", "embed_dim", "fc_norm", "final_norm", "img_size"),
    *("in_chans", "layers", "mlp_ratio", "no_embed_class", "num_blocks", "num_classes"),
    *("patch_size", "qkv_bias", "strict_img_size", "weight_init", "window_size"),
    *("attn_drop_rate", "drop_path_rate", "drop_rate", "pos_drop_rate", "proj_drop_rate"),
)

_RULES = {"act_layer": Rule("activation", _ACTIVATIONS), "num_heads": Rule("num_heads")}
_MEAN = {"global_pool": Rule(values={"avg": ""})}  # the only way there is here
_GELU = {"activation": "gelu", "norm_epsilon": 1e-6}
_SIZE = "(?:tiny|small|base|large|huge|giant|gigantic)"
_VITS: dict[str, Mapping[str, Any]] = {  # the first that fits is taken
    rf"(?:vit|deit)_{_SIZE}_patch\d+_\d+(?:_miil)?(?:_in21k)?|test_vit|flexivit_{_SIZE}": _GELU,
    r"vit_[a-z]+_patch\d+_gap_\d+": _GELU,
    r"vit_(?:base_patch16|large_patch16|so400m_patch14)_siglip_gap_(?!512)\d+": _GELU,
    r"vit_base_patch16_siglip_gap_512": _GELU,
    r"vit_[a-z0-9]+_patch\d+_siglip_gap_\d+": _GELU | {"activation": "gelu_tanh"},
}
_HEADS = {  # of an architecture, or of all whose name has such a part
    "test_vit": 2,
    "vit_base_patch16_gap_224": 16,
    **{"tiny": 3, "small": 6, "medium": 8, "betwixt": 10, "base": 12},
    **dict.fromkeys(("large", "huge", "giant", "gigantic", "giantopt", "so400m"), 16),
}


def _describe(
    like: str, architectures: Mapping[str, Mapping[str, Any]], rules: Mapping[str, Rule]
) -> Describe:
    """Returns a reader of config.json, which names an architecture and arguments that differ.

    `architectures` are regular expressions of those that are computed here, with the options that
    their arrays do not show; other architectures may have the same arrays. `like` is one of them.
    """

    def describe(config: Mapping[str, Any]) -> TrainedWith | None:
        """Returns what a config.json tells; None where it is none of timm's."""
        arguments, images = config.get("model_args", {}), config.get("pretrained_cfg")
        if images is None and _is_flat(config):
            images = config
        if not isinstance(images, dict) or not isinstance(arguments, dict):
            return None
        architecture = str(config.get("architecture", like))
        known = [options for p, options in architectures.items() if re.fullmatch(p, architecture)]
        if not known:
            other = f"architecture={architecture!r}, expected one such as {like}"
            return TrainedWith(refused=(other,))
        told = translate({**config, **arguments}, rules)
        unread = arguments.keys() - rules.keys() - {*_SHOWN}
        model = {**known[0], **told.model}
        if "norm_layer" in arguments:  # which has an epsilon of its own
            model.pop("norm_epsilon", None)
        return dataclasses.replace(
            told,
            model=model,
            mean=_numbers(images, "mean"),
            std=_numbers(images, "std"),
            image_size=to_size(arguments.get("img_size")) or _size(images.get("input_size")),
            notes=tuple(
                f"config.json says {name}={arguments[name]!r}, which is not checked"
                for name in sorted(unread)
            ),
        )

    return describe


def _is_flat(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is timm's as it was before 2023, which told of images beside all."""
    return isinstance(config.get("architecture"), str) and "model_type" not in config


def _numbers(images: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    value = images.get(name)
    return tuple(value) if isinstance(value, list) else ()


def _size(shape: Any) -> Size | None:
    """Returns the height and width of images [C, H, W]."""
    return to_size(shape[1:]) if isinstance(shape, list) else None


_of_vit = _describe(
    "vit_base_patch16_224",
    _VITS,
    _RULES | {"global_pool": Rule("pool", {"token": "cls", "avg": "mean"})},
)


def _describe_vit(config: Mapping[str, Any]) -> TrainedWith | None:
    """Of a config.json, which tells the heads where they are not those of its architecture."""
    architecture = str(config.get("architecture", ""))
    names = (architecture, *architecture.split("_"))
    heads = next((_HEADS[name] for name in names if name in _HEADS), None)
    return _of_vit(config if heads is None else {"num_heads": heads, **config})


_LAYER = r"blocks\.(\d+)\."
_BLOCK = r"encoder/block_\1/"

VIT = Origin(
    title="timm's ViT",
    models=("ViT",),
    marks=(r"patch_embed\.proj\.weight", r"blocks\.0\.attn\.qkv\.weight"),
    rules={
        "cls_token": "class_token",
        "pos_embed": "position_embedding",
        r"patch_embed\.proj": "stem",
        _LAYER + "norm1": _BLOCK + "mixer_norm",
        _LAYER + r"attn\.qkv": _BLOCK + "mixer/qkv",
        _LAYER + r"attn\.proj": _BLOCK + "mixer/out",
        _LAYER + "norm2": _BLOCK + "mlp_norm",
        _LAYER + r"mlp\.fc1": _BLOCK + "mlp/in",
        _LAYER + r"mlp\.fc2": _BLOCK + "mlp/out",
        "norm": "final_norm",
        "fc_norm": "pool_norm",
        r"pre_logits\.fc": "head/hidden_0",
        "head": "head/logits",
    },
    describe=_describe_vit,
)

MIXER = Origin(
    title="timm's Mixer",
    models=("Mixer",),
    marks=(r"stem\.proj\.weight", r"blocks\.0\.mlp_tokens\.fc1\.weight"),
    rules={
        r"stem\.proj": "stem",
        _LAYER + "norm1": _BLOCK + "mixer_norm",
        _LAYER + r"mlp_tokens\.fc1": _BLOCK + "mixer/mlp/in",
        _LAYER + r"mlp_tokens\.fc2": _BLOCK + "mixer/mlp/out",
        _LAYER + "norm2": _BLOCK + "mlp_norm",
        _LAYER + r"mlp_channels\.fc1": _BLOCK + "mlp/in",
        _LAYER + r"mlp_channels\.fc2": _BLOCK + "mlp/out",
        "norm": "final_norm",
        "head": "head/logits",
    },
    describe=_describe("mixer_b16_224", {r"mixer_[bsl]\d+_224(?:_\w+)?": _GELU}, _RULES | _MEAN),
)

_WINDOWS = r"layers\.(\d+)\.blocks\.(\d+)\."
_STAGE_BLOCK = r"stage_\1/block_\2/"
_SWIN_RULES = {
    r"patch_embed\.proj": "stem",
    r"patch_embed\.norm": "stem/token_norm",
    _WINDOWS + "norm1": _STAGE_BLOCK + "mixer_norm",
    _WINDOWS + r"attn\.relative_position_bias_table": _STAGE_BLOCK + "mixer/relative_position_bias",
    _WINDOWS + r"attn\.qkv": _STAGE_BLOCK + "mixer/qkv",
    _WINDOWS + r"attn\.proj": _STAGE_BLOCK + "mixer/out",
    _WINDOWS + "norm2": _STAGE_BLOCK + "mlp_norm",
    _WINDOWS + r"mlp\.fc1": _STAGE_BLOCK + "mlp/in",
    _WINDOWS + r"mlp\.fc2": _STAGE_BLOCK + "mlp/out",
    "norm": "final_norm",
    r"head(?:\.fc)?": "head/logits",
}
_SWIN_MARKS = (r"layers\.0\.blocks\.0\.attn\.qkv\.weight", r"patch_embed\.proj\.weight")
_SWIN_IGNORED = (_WINDOWS + r"attn\.relative_position_index", _WINDOWS + "attn_mask")

SWIN_OF_ITS_AUTHORS = Origin(
    title="Swin of its authors",
    models=("Swin",),
    marks=(*_SWIN_MARKS, r"layers\.0\.downsample\."),
    rules=_SWIN_RULES
    | {
        rf"layers\.{i}\.downsample\.(norm|reduction)": rf"stage_{i + 1}/merging/\1"
        for i in range(3)
    },
    ignored=_SWIN_IGNORED,
)

SWIN = Origin(
    title="timm's Swin",
    models=("Swin",),
    marks=_SWIN_MARKS,
    rules=_SWIN_RULES | {r"layers\.(\d+)\.downsample\.(norm|reduction)": r"stage_\1/merging/\2"},
    ignored=_SWIN_IGNORED,
    settings={"tiling": "timm"},
    describe=_describe(
        "swin_tiny_patch4_window7_224",
        {rf"swin_{_SIZE}_patch4_window\d+_\d+(?:_in22k)?": _GELU | {"norm_epsilon": 1e-5}},
        _RULES | _MEAN,
    ),
)

RESNET = Origin(
    title="torchvision's or timm's ResNet",
    models=("ResNet",),
    marks=(r"conv1\.weight", r"layer1\.0\.conv1\.weight"),
    rules={"conv1": "stem", "bn1": "stem/norm", "fc": "head/logits"}
    | {
        rf"layer{stage + 1}\.(\d+)\.{theirs}": rf"stage_{stage}/block_\1/{ours}"
        for stage in range(4)
        for theirs, ours in {
            **{f"conv{i + 1}": f"conv_{i}" for i in range(3)},
            **{f"bn{i + 1}": f"conv_{i}/norm" for i in range(3)},
            r"downsample\.0": "shortcut",
            r"downsample\.1": "shortcut/norm",
        }.items()
    },
    ignored=(r".*\.num_batches_tracked",),
    describe=_describe(
        "resnet50",
        {r"(?:tv_)?resnet(?:18|26|34|50|101|152|200)": {}},
        {"act_layer": Rule(values={"relu": ""}), **_MEAN},
    ),
)


def _vgg_layers(names: Iterable[str]) -> dict[str, str]:
    """Returns the rules of a VGG's convolutions, from names there or paths here.

    There a convolution, its norm and its ReLU count three, and the pooling after a stage one.
    """
    names = list(names)
    norms = sorted(int(m[1]) for m in map(_VGG_NORM.fullmatch, names) if m)
    stages = [norm - 1 - 3 * i for i, norm in enumerate(norms)]
    stages += sorted(int(m[1]) for m in map(_VGG_PLACE.fullmatch, names) if m)
    rules = {}
    for i, stage in enumerate(stages):
        place, number = f"stage_{stage}/conv_{i - stages.index(stage)}", 3 * i + stage
        rules[rf"features\.{number}"] = place
        rules[rf"features\.{number + 1}"] = f"{place}/norm"
    return rules


def _vgg_leaf(layer: str, name: str, value: np.ndarray) -> tuple[str, str, np.ndarray]:
    """As torch's; torchvision's hidden layers are convolutions of the whole map, flattened."""
    if layer.startswith("hidden_") and value.ndim == 2:
        side = 7 if layer == "hidden_0" else 1
        whole = value.shape[1] % side**2 == 0
        value = value.reshape(len(value), -1, side, side) if whole else value
    return torch_leaf(layer, name, value)


def _vgg_doubt(tensors: Mapping[str, np.ndarray], model: Any, image_shape: Any) -> str:
    """Where timm and torchvision differ: timm's hidden layers see a map as it is, and pool after.

    Its names are in timm's files, whose network is that of torchvision where the map is 7x7.
    """
    if not any(name.startswith("pre_logits.") for name in tensors) or model.sees_whole(image_shape):
        return ""
    return (
        f"warning: of images of {image_shape[0]}x{image_shape[1]} pixels timm's VGG pools after "
        "its hidden layers, here before; lower config.data.input_size"
    )


_VGG_NORM = re.compile(r"features\.(\d+)\.running_mean")
_VGG_PLACE = re.compile(r"batch_stats/stage_(\d+)/conv_\d+/norm/mean")

VGG = Origin(
    title="torchvision's or timm's VGG with batch norm",
    models=("VGG",),
    marks=(r"features\.0\.weight", r"features\.1\.running_mean"),
    rules={
        r"pre_logits\.fc1|classifier\.0": "hidden_0",
        r"pre_logits\.fc2|classifier\.3": "hidden_1",
        r"head\.fc|classifier\.6": "head/logits",
    },
    numbered=_vgg_layers,
    leaf=_vgg_leaf,
    doubt=_vgg_doubt,
    ignored=(r".*\.num_batches_tracked",),
    describe=_describe(
        "vgg16_bn",
        {r"vgg1[1369]_bn": {}},
        {"act_layer": Rule(values={"relu": ""}), **_MEAN},
    ),
)
