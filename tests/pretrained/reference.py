"""Networks of transformers and timm, built at random: what verify.py compares with.

Needs the extra [bench].
"""

import enum
import importlib.machinery
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vitjax.errors import UserError
from vitjax.models.names import choose
from vitjax.pretrained import weight_files

NUM_CLASSES = 100
_VITS = {
    "vit_ti": (192, 3, 12),
    "vit_s": (384, 6, 12),
    "vit_b": (768, 12, 12),
    "vit_l": (1024, 16, 24),
}
_SWINS = {"swin_t": (96, 6), "swin_s": (96, 18), "swin_b": (128, 18), "swin_l": (192, 18)}
_RESNETS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
_VGGS = ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")
NAMES = (*_VITS, *_RESNETS, *_VGGS, *_SWINS)
_TIMM = {
    "vit_ti": "vit_tiny_patch16_224",
    "vit_s": "vit_small_patch16_224",
    "vit_b": "vit_base_patch16_224",
    "vit_l": "vit_large_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224",
    "swin_s": "swin_small_patch4_window7_224",
    "swin_b": "swin_base_patch4_window7_224",
    "swin_l": "swin_large_patch4_window7_224",
} | {name: name for name in (*_RESNETS, *_VGGS)}
_BLOCKS = (  # a block's module: its path in vitjax
    (r"vit\.layers\.(\d+)", r"encoder/block_\1"),
    (r"swin\.encoder\.layers\.(\d+)\.blocks\.(\d+)", r"stage_\1/block_\2"),
    (r"resnet\.encoder\.stages\.(\d+)\.layers\.(\d+)", r"stage_\1/block_\2"),
    (r"blocks\.(\d+)", r"encoder/block_\1"),
    (r"layers\.(\d+)\.blocks\.(\d+)", r"stage_\1/block_\2"),
    *((rf"layer{i + 1}\.(\d+)", rf"stage_{i}/block_\1") for i in range(4)),
)
_TORCHVISION = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.datasets.folder",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


class _Stub(types.ModuleType):
    """A module whose every name is an empty class."""

    def __init__(self, name: str):
        super().__init__(name)
        self.__path__: list[str] = []  # a package, too
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def import_timm() -> Any:
    """Imports timm; where torchvision lacks, with a stub: the networks need nothing of it."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        methods = "nearest bilinear bicubic box hamming lanczos nearest-exact"
        modes = {m.replace("-", "_").upper(): m for m in methods.split()}
        mode = enum.Enum("InterpolationMode", modes)  # type: ignore[misc]
        for name in _TORCHVISION:
            module = _Stub(name)
            module.__dict__["InterpolationMode"] = mode
            sys.modules[name] = module
            parent, _, last = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], last, module)
    import timm

    return timm


def build(name: str, library: str) -> Any:
    """Returns a network of a library, all of whose numbers are random, with 100 classes.

    Names are those of vitjax.models.VARIANTS. Raises UserError for an unknown one, or where the
    library is absent.
    """
    choose(dict.fromkeys(NAMES), name, "NAME")
    if library == "transformers" and name in _VGGS:
        raise UserError("transformers has no VGG; choose --library=timm")
    try:
        import torch

        torch.manual_seed(0)
        make: Callable[[str], Any] = {"transformers": _transformers, "timm": _timm}[library]
        model = make(name)
    except ImportError as error:
        raise UserError(f"verify needs: pip install '.[bench]' ({error})") from error
    with torch.no_grad():
        for key, tensor in model.state_dict().items():  # so that no two layers are alike
            if tensor.is_floating_point():
                noise = 0.05 * torch.randn_like(tensor)
                tensor += noise.abs() if key.endswith("running_var") else noise * _scale(tensor)
    return model.eval()


def _scale(tensor: Any) -> float:
    """Returns 1 for vectors, and for kernels what keeps the outputs' size."""
    return 1.0 if tensor.ndim < 2 else float(tensor[0].numel() ** -0.5)


def _timm(name: str) -> Any:
    return import_timm().create_model(_TIMM[name], num_classes=NUM_CLASSES)


def _transformers(name: str) -> Any:
    import transformers

    common = {"num_labels": NUM_CLASSES, "attn_implementation": "eager"}
    if name in _VITS:
        dim, heads, layers = _VITS[name]
        config = transformers.ViTConfig(
            hidden_size=dim,
            num_attention_heads=heads,
            num_hidden_layers=layers,
            intermediate_size=4 * dim,
            **common,
        )
        return transformers.ViTForImageClassification(config)
    if name in _SWINS:
        dim, depth = _SWINS[name]
        per_stage = [dim // 32 * 2**i for i in range(4)]
        config = transformers.SwinConfig(
            embed_dim=dim, depths=[2, 2, depth, 2], num_heads=per_stage, **common
        )
        return transformers.SwinForImageClassification(config)
    bottleneck = name == "resnet50"
    config = transformers.ResNetConfig(
        hidden_sizes=[(256 if bottleneck else 64) * 2**i for i in range(4)],
        depths=list(_RESNETS[name]),
        layer_type="bottleneck" if bottleneck else "basic",
        **common,
    )
    return transformers.ResNetForImageClassification(config)


def save(model: Any, library: str, folder: Path) -> Path:
    """Writes the network as its library does, and returns the file."""
    path = folder / "model.safetensors"
    if library == "transformers":
        model.save_pretrained(folder)
    else:
        arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        weight_files.write(path, arrays, {})
    return path


def compute(model: Any, images: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the logits of images [B, H, W, C], and each block's output by vitjax's path."""
    import torch

    blocks = {}
    channels_first = any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())

    def keep(path: str) -> Callable[..., None]:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            x = (output[0] if isinstance(output, tuple) else output).detach()
            blocks[path] = (x.permute(0, 2, 3, 1) if channels_first else x).numpy().copy()

        return hook

    for module_name, path in block_paths(model).items():
        model.get_submodule(module_name).register_forward_hook(keep(path))
    with torch.no_grad():
        output = model(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    logits = output if isinstance(output, torch.Tensor) else output.logits
    return logits.numpy(), blocks


def block_paths(model: Any) -> dict[str, str]:
    """Returns vitjax's path of each module that is a block; of a VGG, of those that end a stage."""
    paths: dict[str, str] = {}
    for name, module in model.named_modules():
        for pattern, path in _BLOCKS:
            if found := re.fullmatch(pattern, name):
                paths[name] = found.expand(path)
        if name.startswith("features.") and type(module).__name__ == "MaxPool2d":
            paths[name] = f"stage_{len(paths)}"
    return paths
