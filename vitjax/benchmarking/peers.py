"""The same work by PyTorch: `python -m vitjax.benchmarking.peers` answers orders on its input.

A process of its own, so that the two frameworks share neither threads nor memory. The only
importer of torch in the package.
"""

import functools
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from vitjax.benchmarking.cases import Case
from vitjax.benchmarking.random_data import random_split


def _module(package: str, name: str) -> ModuleType:
    """Returns one file of a package, not its `__init__`, which may want torchvision."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is missing; pip install '.[bench]' in the checkout")
    path = Path(spec.submodule_search_locations[0]) / f"{name}.py"
    file_spec = importlib.util.spec_from_file_location(f"{package}_{name}", path)
    assert file_spec is not None
    assert file_spec.loader is not None
    module = importlib.util.module_from_spec(file_spec)
    file_spec.loader.exec_module(module)
    return module


def _vit_arguments(case: Case) -> dict[str, Any]:
    return dict(
        image_size=case.image_shape[0],
        patch_size=case.options["patch_size"],
        num_classes=case.num_classes,
        dim=case.options["hidden_dim"],
        channels=case.image_shape[-1],
    )


def _vit(case: Case) -> nn.Module:
    """vit-pytorch's ViT."""
    options = case.options
    return _module("vit_pytorch", "vit").ViT(
        **_vit_arguments(case),
        depth=options["num_layers"],
        heads=options["num_heads"],
        dim_head=options.get("head_dim") or options["hidden_dim"] // options["num_heads"],
        mlp_dim=options["mlp_dim"],
        dropout=options.get("dropout_rate", 0.0),
        emb_dropout=options.get("embedding_dropout_rate", 0.0),
    )


def _linformer(case: Case) -> nn.Module:
    """The linformer package in vit-pytorch's efficient.ViT, as seed 003 has it."""
    from linformer import Linformer

    options = case.options
    patches = (case.image_shape[0] // options["patch_size"]) ** 2
    transformer = Linformer(
        dim=options["hidden_dim"],
        seq_len=patches + 1,
        depth=options["num_layers"],
        heads=options["num_heads"],
        k=options["k_dim"],
        dropout=options.get("mlp_dropout_rate", 0.0),
    )
    efficient = _module("vit_pytorch", "efficient")
    return efficient.ViT(**_vit_arguments(case), transformer=transformer)


def _mixer(case: Case) -> nn.Module:
    """The mlp-mixer-pytorch package's Mixer."""
    from mlp_mixer_pytorch import MLPMixer

    options = case.options
    return MLPMixer(
        image_size=case.image_shape[0],
        channels=case.image_shape[-1],
        patch_size=options["patch_size"],
        dim=options["hidden_dim"],
        depth=options["num_layers"],
        num_classes=case.num_classes,
        expansion_factor=options["tokens_mlp_dim"] / options["hidden_dim"],
        expansion_factor_token=options["mlp_dim"] / options["hidden_dim"],
    )


class _EncoderViT(nn.Module):
    """A ViT on torch's own encoder, post-norm, with ReLU and dropout up to the logits."""

    def __init__(self, case: Case):
        super().__init__()
        options, rate = case.options, case.options["dropout_rate"]
        width, patch = options["hidden_dim"], options["patch_size"]
        tokens = (case.image_shape[0] // patch) ** 2 + 1
        self.patches = nn.Conv2d(case.image_shape[-1], width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, tokens, width))
        self.dropout = nn.Dropout(rate)
        layer = nn.TransformerEncoderLayer(
            width, options["num_heads"], options["mlp_dim"], rate, "gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, options["num_layers"])
        widths = (width, *options["head_hidden_dims"], case.num_classes)
        self.head = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images [B, C, H, W] -> logits [B, K]."""
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.positions
        x = self.encoder(self.dropout(x))[:, 0]
        *hidden, logits = self.head
        for layer in hidden:
            x = self.dropout(functional.relu(layer(x)))
        return logits(x)


PEERS: dict[str, Callable[[Case], nn.Module]] = {
    "vit": _vit,
    "linformer": _linformer,
    "mixer": _mixer,
    "encoder_vit": _EncoderViT,
}
_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Images(torch.utils.data.Dataset):
    """A split as torchvision's sets have it: a PIL image, transformed one by one."""

    def __init__(self, case: Case, count: int, seed: int, augment: bool):
        self._images, self._labels = random_split(case, count, seed)
        self._options = case.augment if augment else {}

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self._images[index].squeeze())
        pixels = np.asarray(_transformed(image, self._options), np.float32) / 255
        pixels = (pixels.reshape(*pixels.shape[:2], -1) - np.float32(0.5)) / np.float32(0.25)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), int(self._labels[index])


def _transformed(image: Image.Image, options: Any) -> Image.Image:
    """Rotates, flips and crops as torchvision's transforms do on PIL images."""
    draw = np.random.random(8)
    if degrees := options.get("rotation_degrees"):
        image = image.rotate((2 * draw[0] - 1) * degrees)
    if options.get("horizontal_flip") and draw[1] < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if options.get("vertical_flip") and draw[2] < 0.5:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if scale := options.get("resized_crop_scale"):
        side = int(image.width * (scale[0] + draw[3] * (scale[1] - scale[0])) ** 0.5)
        left, top = (int(d * (image.width - side + 1)) for d in draw[4:6])
        box = (left, top, left + side, top + side)
        image = image.resize(image.size, Image.Resampling.BILINEAR, box)
    return image


class Peer:
    """A case trained by PyTorch."""

    def __init__(self, case: Case, *, compiled: bool, num_workers: int):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._case, self._num_workers = case, num_workers
        model = PEERS[case.peer](case).to(self.device)
        self.num_params = sum(p.numel() for p in model.parameters())
        options = dict(case.optimizer_options)
        self._optimizer = _OPTIMIZERS[case.optimizer](
            model.parameters(), options.pop("learning_rate"), **options
        )
        self._model: Any = torch.compile(model) if compiled else model
        images, labels = random_split(case, case.batch_size, 0)
        pixels = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
        self._batch = pixels.to(self.device), torch.from_numpy(labels).long().to(self.device)
        self._loaders: Any = None

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self._optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss = functional.cross_entropy(self._model(images), labels)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def steps(self, count: int) -> float:
        """Trains `count` steps on one batch that lies on the device; returns the seconds."""
        self._model.train()
        self._wait()
        start = time.perf_counter()
        for _ in range(count):
            self._step(*self._batch)
        self._wait()
        return time.perf_counter() - start

    def epoch(self) -> float:
        """An epoch with a DataLoader: load, augment, train, evaluate; returns the seconds."""
        train, test = self._data_loaders()
        self._wait()
        start = time.perf_counter()
        self._model.train()
        total = torch.zeros((), device=self.device)
        for images, labels in train:
            total += self._step(*self._on_device(images, labels))
        self._model.eval()
        correct = torch.zeros((), device=self.device)
        with torch.no_grad(), self._autocast():
            for images, labels in test:
                images, labels = self._on_device(images, labels)
                correct += (self._model(images).argmax(1) == labels).sum()
        float(total), float(correct)
        return time.perf_counter() - start

    def _on_device(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(t.to(self.device, non_blocking=True) for t in tensors)

    def _data_loaders(self) -> Any:
        if self._loaders is None:
            case = self._case
            make = functools.partial(
                torch.utils.data.DataLoader,
                num_workers=self._num_workers,
                persistent_workers=self._num_workers > 0,
                pin_memory=self.device.type == "cuda",
            )
            train = Images(case, case.num_train, 0, augment=True)
            test = Images(case, case.num_test, 1, augment=False)
            self._loaders = (
                make(train, batch_size=case.batch_size, shuffle=True),
                make(test, batch_size=256),
            )
        return self._loaders

    def peak_bytes(self) -> int:
        """Returns the largest memory that the device's allocator held; 0 on CPU."""
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0


def main() -> None:
    """Answers one line of JSON for each: build, steps, epoch, peak_bytes; ends with the input."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    peer: Peer | None = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order["do"] == "build":
                torch.set_num_threads(order["num_threads"])
                case = Case(**{**order["case"], "image_shape": tuple(order["case"]["image_shape"])})
                peer = Peer(case, compiled=order["compiled"], num_workers=order["num_workers"])
                answer: Any = {
                    "num_params": peer.num_params,
                    "torch": torch.__version__,
                    "device": str(peer.device),
                }
            else:
                answer = getattr(peer, order["do"])(*order.get("arguments", ()))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
