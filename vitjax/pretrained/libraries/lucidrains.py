"""lucidrains' vit-pytorch, with its own attention or the PyPI package linformer as `transformer=`.

Version 1.0 put LayerNorms around the patch embedding, which moved the numbers of its layers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vitjax.pretrained.convert import Origin

_LAYER = r"transformer\.(?:|net\.)layers\.(\d+)\."
_BLOCK = r"encoder/block_\1/"
_RULES = {
    "cls_token": "class_token",
    "pos_embedding": "position_embedding",
    _LAYER + r"0\.norm": _BLOCK + "mixer_norm",
    _LAYER + r"0\.(?:|fn\.)to_qkv": _BLOCK + "mixer/qkv",
    _LAYER + r"0\.fn\.to_q": _BLOCK + "mixer/qkv@0",
    _LAYER + r"0\.fn\.to_k": _BLOCK + "mixer/qkv@1",
    _LAYER + r"0\.fn\.to_v": _BLOCK + "mixer/qkv@2",
    _LAYER + r"0\.fn\.proj_k": _BLOCK + "mixer/key_projection",
    _LAYER + r"0\.fn\.proj_v": _BLOCK + "mixer/value_projection",
    _LAYER + r"0\.(?:|fn\.)to_out(?:\.0)?": _BLOCK + "mixer/out",
    _LAYER + r"1\.(?:net\.0|norm)": _BLOCK + "mlp_norm",
    _LAYER + r"1\.(?:net\.1|fn\.net\.0|fn\.w1)": _BLOCK + "mlp/in",
    _LAYER + r"1\.(?:net\.4|fn\.net\.3|fn\.w2)": _BLOCK + "mlp/out",
    r"transformer\.norm|mlp_head\.0": "final_norm",
    r"mlp_head(?:|\.1)": "head/logits",
}
_SETTINGS = {"norm": "pre", "activation": "gelu", "norm_epsilon": 1e-5}  # it has no others


def _doubt(tensors: Mapping[str, np.ndarray], *model: Any) -> str:
    """What a class token [1, 1, D] leaves open: with pool="mean" there is one, too, read or not.

    Today's ViT has it as [1, D], or none.
    """
    del model
    if "cls_token" in tensors and tensors["cls_token"].ndim == 2:
        return ""
    return "the file does not tell whether the class token was read, as here, or the mean of all"


def _read(tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Cuts a Linformer's projections, which may have more rows (`seq_len`) than there are tokens.

    It reads the first ones alone; there is a position for each token.
    """
    positions = tensors.get("pos_embedding")
    if positions is None or positions.ndim < 2:
        return tensors
    return {
        name: x[: positions.shape[-2]] if name.endswith((".proj_k", ".proj_v")) and x.ndim else x
        for name, x in tensors.items()
    }


VIT_PYTORCH = Origin(
    title="vit-pytorch",
    models=("ViT", "Linformer"),
    marks=(r"to_patch_embedding\.3\.weight",),
    rules={
        r"to_patch_embedding\.1": "stem/patch_norm",
        r"to_patch_embedding\.2": "stem/embedding",
        r"to_patch_embedding\.3": "stem/token_norm",
        **_RULES,
    },
    settings=_SETTINGS,
    read=_read,
    doubt=_doubt,
)

VIT_PYTORCH_BEFORE_1 = Origin(
    title="vit-pytorch before 1.0",
    models=("ViT", "Linformer"),
    marks=(r"to_patch_embedding\.1\.weight",),
    rules={r"to_patch_embedding\.1": "stem/embedding", **_RULES},
    settings=_SETTINGS,
    read=_read,
    doubt=_doubt,
)
