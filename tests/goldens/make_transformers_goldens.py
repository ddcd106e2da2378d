"""Writes what Hugging Face's networks compute on small inputs, under vitjax's names and layouts.

As make_goldens.py, and in its environment with `pip install transformers==5.23.0` besides:

    python tests/goldens/make_transformers_goldens.py
"""

import json
import re
from collections.abc import Iterable

import numpy as np
import torch
import transformers
from make_goldens import draw, save, versions
from torch import nn
from torch.nn import functional

NUM_CLASSES, BATCH = 5, 2
COMMON = {"num_labels": NUM_CLASSES, "attn_implementation": "eager"}

NAMES = (  # each is replaced in turn
    (r"^(vit|swin|resnet)\.", ""),
    (r"^embeddings\.cls_token$", "class_token"),
    (r"^embeddings\.position_embeddings$", "position_embedding"),
    (r"^embeddings\.patch_embeddings\.projection|^embedder\.embedder", "stem"),
    (r"^embeddings\.norm", "stem/token_norm"),
    (r"^layers\.(\d+)", r"encoder/block_\1"),
    (r"^encoder\.(?:stages|layers)\.(\d+)\.(?:layers|blocks)\.(\d+)", r"stage_\1/block_\2"),
    (r"^encoder\.layers\.0\.downsample", "stage_1/merging"),
    (r"\.attention\.relative_position_bias\.\w+", "/mixer/relative_position_bias"),
    (r"\.attention\.qkv", "/mixer/qkv"),
    (r"\.attention\.o_proj", "/mixer/out"),
    (r"\.mlp\.fc1", "/mlp/in"),
    (r"\.mlp\.fc2", "/mlp/out"),
    (r"\.layernorm_before", "/mixer_norm"),
    (r"\.layernorm_after", "/mlp_norm"),
    (r"^layernorm", "final_norm"),
    (r"^classifier(\.1)?", "head/logits"),
    (r"\.layer\.(\d)", r"/conv_\1"),
    (r"\.convolution", ""),
    (r"\.normalization", "/norm"),
    (r"\.running_", "/"),
    (r"\.", "/"),
)


def rename(name: str) -> str:
    """Returns vitjax's name of a module or tensor."""
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    return name


def ours(tensors: Iterable[tuple[str, torch.Tensor]]) -> dict[str, np.ndarray]:
    """Returns tensors by vitjax's names: queries, keys and values fused, kernels [..., in, out]."""
    fused: dict[str, list[np.ndarray]] = {}
    for name, tensor in tensors:
        if "num_batches" not in name:
            parts = fused.setdefault(re.sub(r"\.[qkv]_proj", ".qkv", name), [])
            parts.append(tensor.detach().numpy().copy())
    arrays = {}
    for name, parts in fused.items():
        value, path = np.concatenate(parts), rename(name)
        if path.endswith("weight"):
            path = path.removesuffix("weight") + ("scale" if value.ndim == 1 else "kernel")
            value = value if value.ndim == 1 else np.moveaxis(value, (0, 1), (-1, -2))
        arrays[path] = value
    return arrays


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Draws all parameters and statistics; scales and variances are around 1."""
    for module in model.modules():
        is_norm = isinstance(module, nn.LayerNorm | nn.BatchNorm2d)
        for key, parameter in module.named_parameters(recurse=False):
            kept = parameter.shape[1:].numel() ** -0.5 if parameter.ndim == 4 else 0.25
            parameter.data = draw(parameter.shape, kept, generator) + float(
                is_norm and key == "weight"
            )
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = draw(module.running_mean.shape, 0.25, generator)
            module.running_var = 1 + draw(module.running_var.shape, 0.25, generator).abs()


def gradient(model: nn.Module, images: torch.Tensor, labels: torch.Tensor):
    """Returns the logits and the loss's gradient with respect to the images."""
    images = images.clone().requires_grad_()
    logits = model(images).logits
    functional.cross_entropy(logits, labels).backward()
    return logits.detach(), nhwc(images.grad)


def nhwc(images: torch.Tensor) -> torch.Tensor:
    """Returns [B, H, W, C] of [B, C, H, W]."""
    return images.detach().permute(0, 2, 3, 1)


def compute(model: nn.Module, image_size: tuple[int, int]) -> dict[str, np.ndarray | torch.Tensor]:
    """Returns inputs, weights, statistics, each block's output, logits and gradients.

    Where there is batch norm, also what training computes: logits, gradient, moved statistics.
    """
    generator = torch.Generator().manual_seed(0)
    randomise(model, generator)
    images = draw((BATCH, 3, *image_size), 1.0, generator)
    labels = torch.tensor([1, 4])
    blocks: dict[str, torch.Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, inputs, output) -> None:
            x = output[0] if isinstance(output, tuple) else output
            blocks[name] = nhwc(x) if x.ndim == 4 else x.detach()

        return hook

    names = {name: rename(name) for name, _ in model.named_modules()}
    hooks = [
        model.get_submodule(name).register_forward_hook(keep(path))
        for name, path in names.items()
        if re.search(r"block_\d+$", path)
    ]
    model.eval()
    logits, images_gradient = gradient(model, images, labels)
    for hook in hooks:
        hook.remove()
    arrays = {"images": nhwc(images), "labels": labels, "logits": logits}
    arrays["images_gradient"] = images_gradient
    arrays |= pack("block", blocks)
    arrays |= pack("param", ours(model.named_parameters()))
    arrays |= pack("gradient", ours((k, p.grad) for k, p in model.named_parameters()))
    statistics = ours((k, b) for k, b in model.named_buffers() if "running" in k)
    if statistics:
        arrays |= pack("statistic", statistics)
        model.train()
        arrays["train_logits"], arrays["train_images_gradient"] = gradient(model, images, labels)
        moved = ours((k, b) for k, b in model.named_buffers() if "running" in k)
        arrays |= pack("moved", moved)
    return arrays


def pack(kind: str, arrays: dict[str, np.ndarray | torch.Tensor]) -> dict[str, np.ndarray]:
    """Returns one flat array and its shapes by name: many small ones would take more room."""
    values = [np.asarray(value) for value in arrays.values()]
    shapes = {name: value.shape for name, value in zip(arrays, values, strict=True)}
    flat = np.concatenate([value.ravel() for value in values])
    return {f"{kind}s": flat, f"{kind}_shapes": np.array(json.dumps(shapes))}


def networks() -> dict[str, tuple[nn.Module, tuple[int, int]]]:
    """Returns a name -> (network, image size); sizes that make every padding happen."""
    vit = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20,
        image_size=(12, 8), patch_size=4, **COMMON,
    )  # fmt: skip
    # 6x7 tokens, padded to 6x9 and shifted; then 3x4, where one window is high enough: no shift.
    swin = transformers.SwinConfig(
        embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=3, mlp_ratio=2, patch_size=2,
        image_size=(11, 14), **COMMON,
    )  # fmt: skip
    basic = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[2, 2], layer_type="basic", **COMMON
    )
    bottleneck = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[16, 32], depths=[1, 2], layer_type="bottleneck", **COMMON
    )
    return {
        "transformers_vit": (transformers.ViTForImageClassification(vit), (12, 8)),
        "transformers_swin": (transformers.SwinForImageClassification(swin), (11, 14)),
        "transformers_resnet": (transformers.ResNetForImageClassification(basic), (21, 18)),
        "transformers_resnet_bottleneck": (
            transformers.ResNetForImageClassification(bottleneck), (21, 18)
        ),
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    made_by = np.array(versions(None, "transformers"))
    for name, (model, image_size) in networks().items():
        save(name, compute(model, image_size) | {"versions": made_by})
