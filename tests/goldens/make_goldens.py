"""Writes the golden files beside it: what torch and the published packages compute on small inputs.

The tests read the files; only a new reference needs this script. It wants Python 3.11 or later and
an environment of its own (torchvision is not needed):

    pip install torch==2.13.0 einops==0.8.2 numpy==2.4.6
    pip install --no-deps vit-pytorch==1.26.11 linformer==0.2.3 mlp-mixer-pytorch==0.3.1
    pip install --no-deps --target OLD vit-pytorch==0.24.3
    python tests/goldens/make_goldens.py OLD

vit-pytorch 0.40.2 is the last release without LayerNorms in the patch embedding, 1.0.0 the first
with them. Each file holds the versions that made it.
"""

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from linformer import Linformer
from mlp_mixer_pytorch import MLPMixer
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
HEIGHT, WIDTH, PATCH, CLASSES = 12, 8, 4, 5  # not square: an exchange of rows and columns shows
TOKENS = (HEIGHT // PATCH) * (WIDTH // PATCH)
DIM, DEPTH, HEADS, HEAD_DIM, MLP_DIM = 16, 2, 2, 6, 20  # HEADS * HEAD_DIM differs from DIM


class EncoderViT(nn.Module):
    """Seed 004's ViT: torch's post-norm encoder, ReLU after every layer of the head."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.positions = nn.Parameter(torch.zeros(1, TOKENS + 1, DIM))
        layer = nn.TransformerEncoderLayer(
            DIM, HEADS, MLP_DIM, dropout=0.0, activation="gelu", batch_first=True, norm_first=False
        )
        self.encoder = nn.TransformerEncoder(layer, DEPTH)
        widths = (DIM, 24, 12, CLASSES)
        self.head = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.positions
        x = self.encoder(x)[:, 0]
        for layer in self.head:
            x = functional.relu(layer(x))
        return x


class ScratchBlock(nn.Module):
    """A pre-norm block whose queries, keys, values and output are four layers with bias."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.query, self.key, self.value = (nn.Linear(DIM, DIM) for _ in range(3))
        self.out = nn.Linear(DIM, DIM)
        self.fc1, self.fc2 = nn.Linear(DIM, 2 * DIM), nn.Linear(2 * DIM, DIM)

    def forward(self, x):
        y = self.norm1(x)
        q, k, v = (
            layer(y).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)
        x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class ScratchViT(nn.Module):
    """The comparison ViT: positions on the patches alone, head with tanh."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.positions = nn.Parameter(torch.zeros(1, TOKENS, DIM))
        self.class_token = nn.Parameter(torch.zeros(1, 1, DIM))
        self.blocks = nn.ModuleList(ScratchBlock() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(DIM)
        self.head1, self.head2 = nn.Linear(DIM, DIM), nn.Linear(DIM, CLASSES)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.head2(torch.tanh(self.head1(self.norm(x)[:, 0])))


def load(folder: str | None, name: str) -> ModuleType:
    """Imports `name`.py of vit_pytorch alone: the package's __init__ needs torchvision."""
    if folder is None:
        package = importlib.util.find_spec("vit_pytorch")
        folder = str(Path(package.origin).parents[1])
    path = Path(folder) / "vit_pytorch" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"reference_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def versions(old: str | None, *packages: str) -> str:
    """Returns "package version, ..." of torch and `packages`; vit-pytorch's from `old` if given."""
    found = []
    for name in ("torch", *packages):
        path = [old] if old and name == "vit-pytorch" else sys.path
        distribution = next(iter(importlib.metadata.distributions(name=name, path=path)))
        found.append(f"{name} {distribution.version}")
    return ", ".join(found)


def save(name: str, arrays: dict[str, np.ndarray | torch.Tensor]) -> None:
    """Writes NAME.npz."""
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, **{key: np.asarray(value) for key, value in arrays.items()})
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def draw(shape: tuple[int, ...], std: float, generator: torch.Generator) -> torch.Tensor:
    """N(0, std) rounded to multiples of std / 8, which compress well."""
    return (8 * torch.randn(shape, generator=generator)).round() * (std / 8)


def save_model(
    name: str, model: nn.Module, made_by: str, image_size: tuple[int, int] = (HEIGHT, WIDTH)
) -> None:
    """Writes a model's weights, one batch, its logits, and the loss's gradients."""
    generator = torch.Generator().manual_seed(0)
    model.eval()
    for key, parameter in model.named_parameters():
        owner, _, leaf = key.rpartition(".")
        is_scale = isinstance(model.get_submodule(owner), nn.LayerNorm) and leaf == "weight"
        parameter.data = draw(parameter.shape, 0.25, generator) + float(is_scale)
    images = draw((2, 3, *image_size), 1.0, generator).requires_grad_()
    labels = torch.tensor([1, 4])
    logits = model(images)
    functional.cross_entropy(logits, labels).backward()
    arrays = {"images": images.detach(), "labels": labels, "logits": logits.detach()}
    arrays |= {"images_gradient": images.grad, "versions": np.array(made_by)}
    # One array for all weights: a hundred small ones would take more room than their values.
    parameters = dict(model.named_parameters())
    shapes = {key: list(parameter.shape) for key, parameter in parameters.items()}
    arrays["shapes"] = np.array(json.dumps(shapes))
    arrays["weights"] = torch.cat([p.detach().flatten() for p in parameters.values()])
    arrays["gradients"] = torch.cat([p.grad.flatten() for p in parameters.values()])
    save(name, arrays)


def save_models(old: str) -> None:
    """Writes one file for each origin of a published network."""
    common = {"patch_size": PATCH, "num_classes": CLASSES, "dim": DIM}
    vit = common | {"image_size": (HEIGHT, WIDTH), "depth": DEPTH, "heads": HEADS}
    vit |= {"dim_head": HEAD_DIM, "mlp_dim": MLP_DIM}
    save_model("vit_pytorch_old", load(old, "vit").ViT(**vit), versions(old, "vit-pytorch"))
    today, made_by = load(None, "vit").ViT, versions(None, "vit-pytorch")
    save_model("vit_pytorch_today", today(**vit), made_by)
    save_model("vit_pytorch_mean", today(**vit, pool="mean"), made_by)  # an empty class token

    linformer = {"dim": DIM, "depth": DEPTH, "k": 3, "heads": HEADS, "dim_head": HEAD_DIM}
    for name, folder, height, share_kv in (
        ("linformer", old, WIDTH, False),  # the old class takes square images only
        ("linformer_shared", old, WIDTH, True),
        ("linformer_today", None, HEIGHT, False),
    ):
        length = 1 + (height // PATCH) * (WIDTH // PATCH)
        model = load(folder, "efficient").ViT(
            image_size=height if height == WIDTH else (height, WIDTH),
            transformer=Linformer(seq_len=length, share_kv=share_kv, **linformer),
            **common,
        )
        made_by = versions(folder, "vit-pytorch", "linformer")
        save_model(name, model, made_by, image_size=(height, WIDTH))

    save_model("torch_encoder", EncoderViT(), versions(None))
    save_model("scratch_vit", ScratchViT(), versions(None))
    mixer = MLPMixer(
        image_size=(HEIGHT, WIDTH), channels=3, depth=DEPTH, expansion_factor=2, **common
    )
    save_model("mixer", mixer, versions(None, "mlp-mixer-pytorch"))


OPTIMIZERS = {  # name: (torch's class, its arguments, StepLR's step size in epochs)
    "adam": ("Adam", {"lr": 0.02}, 1),
    "adam, decay": ("Adam", {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.1}, 2),
    "adamw": ("AdamW", {"lr": 0.02, "weight_decay": 0.1}, 1),
    "adadelta": ("Adadelta", {"lr": 1.0}, 1),
    "adadelta, decay": ("Adadelta", {"lr": 5.0, "rho": 0.8, "weight_decay": 0.1}, 2),
    "rmsprop": ("RMSprop", {"lr": 0.01}, 1),
    "rmsprop, momentum": ("RMSprop", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}, 2),
    "sgd": ("SGD", {"lr": 0.2, "weight_decay": 0.1}, 1),
    "sgd, momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}, 2),
    "sgd, nesterov": (
        "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, 1,
    ),
}  # fmt: skip
STEPS, STEPS_PER_EPOCH, GAMMA = 20, 5, 0.5


def save_optimizers() -> None:
    """Writes a small network's parameters before and after 20 steps of each optimiser."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn((STEPS_PER_EPOCH, 8, 5), generator=generator)  # one batch for each step
    labels = torch.randint(3, (STEPS_PER_EPOCH, 8), generator=generator)
    shapes = {"0.weight": (6, 5), "0.bias": (6,), "2.weight": (3, 6), "2.bias": (3,)}
    start = {name: 0.5 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    arrays = {"inputs": inputs, "labels": labels, "versions": np.array(versions(None))}
    arrays |= {f"start {name}": value for name, value in start.items()}
    cases = {}
    for case, (name, arguments, step_size) in OPTIMIZERS.items():
        model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))
        model.load_state_dict(start)
        optimizer = getattr(torch.optim, name)(model.parameters(), **arguments)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size, GAMMA)
        for step in range(STEPS):
            batch = step % STEPS_PER_EPOCH
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
            if batch == STEPS_PER_EPOCH - 1:
                scheduler.step()
        cases[case] = {"arguments": arguments, "step_size": step_size, "gamma": GAMMA}
        arrays |= {f"{case}: {key}": value for key, value in model.state_dict().items()}
    arrays["cases"] = np.array(json.dumps(cases))
    save("optimizers", arrays)


def save_losses() -> None:
    """Writes losses of torch and their gradients with respect to the logits."""
    generator = torch.Generator().manual_seed(2)
    logits = 3 * torch.randn((7, 4), generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 3, 1, 2])
    mixed = torch.softmax(2 * torch.randn((7, 4), generator=generator), dim=1)
    one_hot = functional.one_hot(labels, 4).float()
    weights = torch.tensor([0.58, 2.62, 0.5, 9.17])
    cases = {  # name: (loss, targets as probabilities, class weights, label smoothing)
        "plain": (nn.CrossEntropyLoss(), labels, None, 0.0),
        "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), labels, None, 0.1),
        "weighted": (nn.CrossEntropyLoss(weights), labels, weights, 0.0),
        "both": (nn.CrossEntropyLoss(weights, label_smoothing=0.1), labels, weights, 0.1),
        "more": (nn.CrossEntropyLoss(weights, label_smoothing=0.4), labels, weights, 0.4),
        "mixed": (nn.CrossEntropyLoss(label_smoothing=0.1), mixed, None, 0.1),
        "mixed, weighted": (nn.CrossEntropyLoss(weights), mixed, weights, 0.0),
        "mixed, both": (nn.CrossEntropyLoss(weights, label_smoothing=0.4), mixed, weights, 0.4),
        "mse": (nn.MSELoss(), one_hot, None, 0.0),
    }
    arrays = {"logits": logits, "versions": np.array(versions(None))}
    for case, (loss, targets, class_weights, smoothing) in cases.items():
        variable = logits.clone().requires_grad_()
        value = loss(variable, targets)
        value.backward()
        arrays |= {f"{case}: loss": value.detach(), f"{case}: gradient": variable.grad}
        arrays[f"{case}: targets"] = mixed if targets is mixed else one_hot
        arrays[f"{case}: weights"] = torch.ones(4) if class_weights is None else class_weights
        arrays[f"{case}: smoothing"] = np.float32(smoothing)
    save("losses", arrays)


STRENGTHS = {  # largest strengths of torchvision's RandAugment (its _augmentation_space)
    "Shear": 0.3, "Rotate": 30.0, "enhance": 0.9, "28": 150 / 331 * 28, "32": 150 / 331 * 32,
    "33": 150 / 331 * 33, "224": 150 / 331 * 224,
}  # fmt: skip


def save_strengths() -> None:
    """Writes RandAugment's strengths at its 31 magnitudes; translations by the size in pixels."""
    arrays = {name: torch.linspace(0.0, end, 31) for name, end in STRENGTHS.items()}
    arrays["Solarize"] = torch.linspace(255.0, 0.0, 31)
    arrays["Posterize"] = 8 - (torch.arange(31) / (30 / 4)).round()
    save("strengths", arrays | {"versions": np.array(versions(None))})


def statistics(weight: torch.Tensor) -> np.ndarray:
    """Mean, deviation, minimum, maximum and 19 quantiles of the values, then singular values."""
    values = weight.double().flatten().numpy()
    matrix = weight.double().flatten(1).numpy()
    singular = np.linalg.svd(matrix, compute_uv=False)
    quantiles = np.quantile(values, np.linspace(0.05, 0.95, 19))
    summary = [values.mean(), values.std(), values.min(), values.max(), *quantiles]
    return np.array([*summary, singular[0], singular[-1]], np.float32)


def save_inits() -> None:
    """Writes statistics of torch's initialisers on a linear and a convolutional weight."""
    torch.manual_seed(3)
    names = ("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal")
    fillers = {name: getattr(nn.init, f"{name}_") for name in (*names, "orthogonal")}
    fillers["trunc_normal"] = lambda weight: nn.init.trunc_normal_(weight, std=0.02)
    fillers["sparse"] = lambda weight: nn.init.sparse_(weight, sparsity=0.1, std=0.01)
    arrays = {"versions": np.array(versions(None))}
    for name, fill in fillers.items():
        weight = torch.empty(300, 400)  # [out, in]
        fill(weight)
        arrays[f"{name}: linear"] = statistics(weight)
        if name == "sparse":  # for matrices only
            arrays["sparse: zeros of each input"] = (weight == 0).sum(dim=0)
        else:
            weight = torch.empty(64, 30, 4, 4)  # [out, in, height, width]
            fill(weight)
            arrays[f"{name}: conv"] = statistics(weight)
    linear, conv = nn.Linear(400, 300), nn.Conv2d(30, 64, 4)
    arrays["torch_linear: linear"] = statistics(linear.weight.detach())
    arrays["torch_linear: conv"] = statistics(conv.weight.detach())
    save("inits", arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_models(sys.argv[1])
    save_optimizers()
    save_losses()
    save_strengths()
    save_inits()
