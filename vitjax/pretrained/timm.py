"""timm (https://github.com/huggingface/pytorch-image-models); torchvision's ResNet, and Swin's own.

timm names a ResNet as torchvision does. Its Swin begins a stage with the merging, as here; the
authors' files, and timm's before 0.9, end the stage before it so.
"""

from vitjax.pretrained.convert import Origin

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
)
