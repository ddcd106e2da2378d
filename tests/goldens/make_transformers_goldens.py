"""Writes what the networks of Hugging Face, timm and torchvision compute on small inputs.

Weights keep the names and layouts of the library's files; blocks have vitjax's paths. As
make_goldens.py, and in its environment with `pip install transformers==5.23.0 timm==1.0.31
safetensors==0.8.0` besides:

    PYTHONPATH=tests/pretrained python tests/goldens/make_transformers_goldens.py
"""

import copy
import json
import tempfile

import numpy as np
import torch
import transformers
from make_goldens import HERE, draw, save, versions
from reference import block_paths, import_timm
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional

NUM_CLASSES, BATCH = 5, 2
LABELS = torch.tensor([1, 4])
COMMON = {"num_labels": NUM_CLASSES, "attn_implementation": "eager"}


def tensors(model: nn.Module, of_gradients: bool = False) -> dict[str, np.ndarray]:
    """Returns all arrays as the library's own file has them, or their gradients so.

    transformers names tensors in its files otherwise than in memory.
    """
    if of_gradients:
        gradients = [parameter.grad for parameter in model.parameters()]
        model = copy.deepcopy(model)
        for parameter, value in zip(model.parameters(), gradients, strict=True):
            parameter.data = value
        for buffer in model.buffers():  # no gradients, and not to be taken for some
            buffer.data = torch.zeros_like(buffer)
    if not isinstance(model, transformers.PreTrainedModel):
        saved = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    else:
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            saved = load_file(f"{folder}/model.safetensors")
    return {name: x for name, x in saved.items() if x.dtype == np.float32}


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
    output = model(images)
    logits = output if isinstance(output, torch.Tensor) else output.logits
    functional.cross_entropy(logits, labels).backward()
    return logits.detach(), nhwc(images.grad)


def nhwc(images: torch.Tensor) -> torch.Tensor:
    """Returns [B, H, W, C] of [B, C, H, W]."""
    return images.detach().permute(0, 2, 3, 1)


def compute(
    model: nn.Module, image_size: tuple[int, int], channels_first: bool
) -> dict[str, np.ndarray | torch.Tensor]:
    """Returns inputs, weights, each block's output and logits."""
    generator = torch.Generator().manual_seed(0)
    randomise(model, generator)
    images = draw((BATCH, 3, *image_size), 1.0, generator)
    blocks: dict[str, torch.Tensor] = {}

    def keep(path: str):
        def hook(module: nn.Module, inputs, output) -> None:
            x = output[0] if isinstance(output, tuple) else output
            blocks[path] = nhwc(x) if channels_first else x.detach()

        return hook

    hooks = [
        model.get_submodule(name).register_forward_hook(keep(path))
        for name, path in block_paths(model).items()
    ]
    model.eval()
    logits, _ = gradient(model, images, LABELS)
    for hook in hooks:
        hook.remove()
    arrays = {"images": nhwc(images), "logits": logits}
    return arrays | pack("block", blocks) | pack("tensor", tensors(model))


def differentiate(model: nn.Module, images: torch.Tensor) -> dict[str, np.ndarray | torch.Tensor]:
    """Returns gradients; with batch norm also logits, gradient and statistics of training."""
    model.zero_grad()
    _, images_gradient = gradient(model, images, LABELS)
    arrays = {"labels": LABELS, "images_gradient": images_gradient}
    arrays |= pack("gradient", tensors(model, of_gradients=True))
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        model.train()
        arrays["train_logits"], arrays["train_images_gradient"] = gradient(model, images, LABELS)
        running = {name: x for name, x in tensors(model).items() if "running" in name}
        arrays |= pack("moved", running)
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


class BasicBlock(nn.Module):
    """A residual block under torchvision's names."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride > 1:
            projection = nn.Conv2d(before, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class SmallResNet(nn.Module):
    """ResNet of two stages under torchvision's names; torchvision's own is never this small."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(BasicBlock(4, 4, 1))
        self.layer2 = nn.Sequential(BasicBlock(4, 8, 2), BasicBlock(8, 8, 1))
        self.fc = nn.Linear(8, NUM_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.fc(self.layer2(self.layer1(x)).mean((2, 3)))


def timm_networks() -> dict[str, tuple[nn.Module, tuple[int, int]]]:
    """Returns a name -> (network, image size)."""
    import_timm()
    from timm.models.mlp_mixer import MlpMixer
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.vision_transformer import VisionTransformer

    common = {"num_classes": NUM_CLASSES}
    vit = {"embed_dim": 16, "depth": 2, "num_heads": 2, **common}
    swin = {"embed_dim": 8, "num_heads": (2, 4), "window_size": 3, "mlp_ratio": 2, **common}
    return {
        "timm_vit": (VisionTransformer((12, 8), 4, **vit), (12, 8)),
        "timm_vit_fc_norm": (
            VisionTransformer((12, 8), 4, class_token=False, global_pool="avg", **vit), (12, 8)
        ),
        "timm_swin": (SwinTransformer((12, 12), 2, depths=(2, 1), **swin), (12, 12)),
        # 8x5 tokens: shifted, then padded to 9x6; then 4x3, shifted down the columns alone.
        "timm_swin_padded": (SwinTransformer((16, 10), 2, depths=(2, 2), **swin), (16, 10)),
        # 2x5 and 1x3 tokens: windows of 2x3 and 1x3, with tables for their offsets alone.
        "timm_swin_small": (SwinTransformer((4, 10), 2, depths=(2, 1), **swin), (4, 10)),
        "timm_mixer": (
            MlpMixer(
                img_size=12, patch_size=4, num_blocks=2, embed_dim=16, mlp_ratio=(0.5, 2.0),
                **common,
            ),
            (12, 12),
        ),
    }  # fmt: skip


def timm_vgg() -> nn.Module:
    """Returns a narrow VGG; timm's own never has fewer than 4096 hidden units."""
    from timm.layers import ClassifierHead
    from timm.models.vgg import VGG, ConvMlp

    model = VGG([4, "M", 8, 8, "M"], norm_layer=nn.BatchNorm2d)
    model.pre_logits, model.head = ConvMlp(8, 6, drop_rate=0.0), ClassifierHead(6, NUM_CLASSES)
    return model


def resized_positions() -> dict[str, torch.Tensor]:
    """Returns positions of a class token and 4x4 patches, and timm's for other grids."""
    from timm.layers import resample_abs_pos_embed

    positions = draw((1, 17, 3), 1.0, torch.Generator().manual_seed(0))
    return {"positions": positions} | {
        f"{height}x{width}": resample_abs_pos_embed(positions, (height, width), (4, 4))
        for height, width in ((7, 6), (2, 3))
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    made_by = {"versions": np.array(versions(None, "transformers", "timm"))}
    for name, (model, image_size) in networks().items():
        arrays = compute(model, image_size, channels_first="resnet" in name)
        images = arrays["images"].permute(0, 3, 1, 2)
        save(name, arrays | differentiate(model, images) | made_by)
    for name, (model, image_size) in timm_networks().items():
        save(name, compute(model, image_size, channels_first=False) | made_by)
    model, image_size = timm_vgg(), (21, 18)  # maps of 5x4: windows of 7x7 overlap
    arrays = compute(model, image_size, channels_first=True)
    images = arrays["images"].permute(0, 3, 1, 2)
    save("timm_vgg", arrays | differentiate(model, images) | made_by)
    model = SmallResNet()
    arrays = compute(model, (21, 18), channels_first=True)
    torch.save(model.state_dict(), HERE / "torchvision_resnet.pth")
    save("torchvision_resnet", arrays | made_by)
    save("timm_positions", resized_positions() | made_by)
