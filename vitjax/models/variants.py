"""Networks of published sizes: a name -> (model, its options)."""

from typing import Any


def _vit(hidden_dim: int, num_layers: int, num_heads: int) -> tuple[str, dict[str, Any]]:
    """A ViT of patch 16 (https://arxiv.org/abs/2010.11929, Ti and S: 2012.12877)."""
    return "vit", {
        "patch_size": 16,
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
        "mlp_dim": 4 * hidden_dim,
        "num_heads": num_heads,
        "norm_epsilon": 1e-6,
    }


def _swin(
    hidden_dim: int, num_blocks: int, num_heads: tuple[int, ...]
) -> tuple[str, dict[str, Any]]:
    """A Swin with `num_blocks` in its third stage (https://arxiv.org/abs/2103.14030)."""
    sizes = (2, 2, num_blocks, 2)
    return "swin", {"hidden_dim": hidden_dim, "stage_sizes": sizes, "num_heads": num_heads}


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit_ti": _vit(192, 12, 3),
    "vit_s": _vit(384, 12, 6),
    "vit_b": _vit(768, 12, 12),
    "vit_l": _vit(1024, 24, 16),
    "resnet18": ("resnet", {}),
    "resnet34": ("resnet", {"stage_sizes": (3, 4, 6, 3)}),
    "resnet50": ("resnet", {"stage_sizes": (3, 4, 6, 3), "block": "bottleneck"}),
    "vgg11_bn": ("vgg", {"stage_sizes": (1, 1, 2, 2, 2)}),
    "vgg13_bn": ("vgg", {"stage_sizes": (2, 2, 2, 2, 2)}),
    "vgg16_bn": ("vgg", {}),
    "vgg19_bn": ("vgg", {"stage_sizes": (2, 2, 4, 4, 4)}),
    "swin_t": _swin(96, 6, (3, 6, 12, 24)),
    "swin_s": _swin(96, 18, (3, 6, 12, 24)),
    "swin_b": _swin(128, 18, (4, 8, 16, 32)),
    "swin_l": _swin(192, 18, (6, 12, 24, 48)),
}
