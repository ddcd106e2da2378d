"""Small networks of ours that take the weights of the goldens."""

import json

import numpy as np
from golden import GOLDENS, convert, load, unpack

from vitjax import models

VIT = dict(patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=64)
LINFORMER = dict(
    patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, head_dim=6, k_dim=3, mlp_dim=64,
    stem="linear",
)  # fmt: skip

SWIN = dict(
    patch_size=2, hidden_dim=8, stage_sizes=(2, 1), num_heads=(2, 4), window_size=3, mlp_ratio=2
)


def linformer():
    """The arrays of a vit-pytorch with linformer as its transformer, of 2 x 2 patches."""
    with np.load(GOLDENS / "linformer.npz") as file:
        return unpack(file["weights"], json.loads(str(file["shapes"])))


def vit(tensors=None, image_shape=(12, 8, 3), num_classes=5, **changes):
    """timm's small ViT in a model of ours: (variables, notes)."""
    tensors = load("timm_vit")["tensors"] if tensors is None else tensors
    return convert(tensors, models.create("vit", num_classes, **VIT | changes), image_shape)
