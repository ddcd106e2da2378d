"""Published weights by name. Nothing here is downloaded until a run asks for it.

Repositories, licences, sizes and means are those of timm 1.0.31 (`pretrained_cfg`), for Google's
repository those of its model card. Accuracies are top-1 on ImageNet-1k as timm measured
them (results/results-imagenet.csv in its repository); None: none was found, or there is no head.
No sha256 is known from a source that could be checked, so that all are None; the hub's client
verifies what it downloads by itself.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vitjax import text

_HALF = (0.5, 0.5, 0.5)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_VIT_PAPER = "https://arxiv.org/abs/2010.11929"
_AUGREG = "https://arxiv.org/abs/2106.10270"
_RESNET = "https://arxiv.org/abs/1512.03385"
_VGG = "https://arxiv.org/abs/1409.1556"
_SWIN = "https://arxiv.org/abs/2103.14030"
_MIXER = "https://arxiv.org/abs/2105.01601"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of published weights, and what the model was trained with."""

    name: str
    repo: str  # on the Hugging Face hub
    model_name: str
    paper: str
    licence: str
    num_classes: int  # of its head; 0: none
    accuracy: float | None  # top-1 on ImageNet-1k, percent
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str  # of the images: method, and the share of the shorter side that is kept
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # beside model_name's own
    input_size: int = 224  # pixels
    file: str = "model.safetensors"
    sha256: str | None = None


def _mixer(hidden_dim: int, num_layers: int) -> dict[str, Any]:
    return {
        "patch_size": 16,
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
        "tokens_mlp_dim": hidden_dim // 2,
        "mlp_dim": 4 * hidden_dim,
        "norm_epsilon": 1e-6,
    }


def _google(
    name: str, repo: str, model_name: str, paper: str, accuracy: float, resize: str, **more
):
    return Entry(
        name, repo, model_name, paper, "apache-2.0", 1000, accuracy, _HALF, _HALF, resize, **more
    )


def _augreg(name: str, size: str, accuracy: float) -> Entry:
    repo = f"timm/vit_{size}_patch16_224.augreg_in21k_ft_in1k"
    return _google(f"{name}_augreg", repo, name, _AUGREG, accuracy, "bicubic, 0.9")


def _torchvision(name: str, accuracy: float | None, paper: str = _RESNET) -> Entry:
    repo = f"timm/{name}.tv_in1k"
    return Entry(
        f"{name}_in1k", repo, name, paper, "bsd-3-clause", 1000, accuracy, *_IMAGENET,
        "bilinear, 0.875",
    )  # fmt: skip


def _swin(name: str, repo: str, accuracy: float) -> Entry:
    model_name = "_".join(name.split("_")[:2])
    return Entry(name, repo, model_name, _SWIN, "mit", 1000, accuracy, *_IMAGENET, "bicubic, 0.9")


_ENTRIES = (
    Entry(
        "vit_b_in21k", "google/vit-base-patch16-224-in21k", "vit_b", _VIT_PAPER, "apache-2.0", 0,
        None, _HALF, _HALF, "unknown", {"norm_epsilon": 1e-12},
    ),
    _augreg("vit_ti", "tiny", 75.454),
    _augreg("vit_s", "small", 81.384),
    _augreg("vit_b", "base", 84.532),
    _augreg("vit_l", "large", 85.834),
    _torchvision("resnet18", 69.760),
    _torchvision("resnet34", None),
    _torchvision("resnet50", 76.130),
    _torchvision("vgg16_bn", 73.370, _VGG),
    _swin("swin_t_in1k", "timm/swin_tiny_patch4_window7_224.ms_in1k", 81.376),
    _swin("swin_s_in1k", "timm/swin_small_patch4_window7_224.ms_in1k", 83.208),
    _swin("swin_b_in22k_in1k", "timm/swin_base_patch4_window7_224.ms_in22k_ft_in1k", 85.272),
    _swin("swin_l_in22k_in1k", "timm/swin_large_patch4_window7_224.ms_in22k_ft_in1k", 86.312),
    _google(
        "mixer_b_in21k_in1k", "timm/mixer_b16_224.goog_in21k_ft_in1k", "mixer", _MIXER, 76.602,
        "bicubic, 0.875", options=_mixer(768, 12),
    ),
    _google(
        "mixer_l_in21k_in1k", "timm/mixer_l16_224.goog_in21k_ft_in1k", "mixer", _MIXER, 72.054,
        "bicubic, 0.875", options=_mixer(1024, 24),
    ),
)  # fmt: skip

CATALOG = {entry.name: entry for entry in _ENTRIES}


_TEXTS = (0, 1, 5, 6, 7, 8, 9)  # columns of no numbers


def table() -> str:
    """Returns the catalogue as text, an entry a line, and what the columns leave out below it."""
    header = ("name", "model", "classes", "top-1 %", "pixels", "mean", "std", "images resized",
              "licence", "hub repository")  # fmt: skip
    rows = [header, *map(_cells, CATALOG.values())]
    papers = [f"{entry.name}: {entry.paper}{_options(entry)}" for entry in CATALOG.values()]
    return "\n".join(
        [
            text.table(rows, left=_TEXTS),
            "",
            "Papers, and model options besides those of the model's name:",
            *papers,
            "",
            f"The file is model.safetensors everywhere; {_checked_sums()}.",
            "Use: python -m vitjax.main --config.model_name=MODEL --config.finetune.weights=NAME "
            "--config.data.mean=R,G,B --config.data.std=R,G,B --config.data.input_size=PIXELS",
        ]
    )


def _checked_sums() -> str:
    """Says how many of the files have a sha256 that loading checks."""
    known = sum(entry.sha256 is not None for entry in CATALOG.values())
    if not known:
        return "no sha256 is known here, so that none is checked"
    return f"the sha256 of {known} of {len(CATALOG)} is known here and checked"


def _cells(entry: Entry) -> tuple[str, ...]:
    return (
        entry.name,
        entry.model_name,
        str(entry.num_classes or "none"),
        "unknown" if entry.accuracy is None else f"{entry.accuracy:.2f}",
        str(entry.input_size),
        " ".join(f"{value:g}" for value in entry.mean),
        " ".join(f"{value:g}" for value in entry.std),
        entry.resize,
        entry.licence,
        entry.repo,
    )


def _options(entry: Entry) -> str:
    return "".join(f", {name}={value!r}" for name, value in entry.options.items())
