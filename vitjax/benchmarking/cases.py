"""What is measured: the seeds' models as plain values, so that no config library is needed."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """One model and the work of training it."""

    model_name: str
    options: Mapping[str, Any]  # of the model, where they differ from its defaults
    image_shape: tuple[int, int, int]  # H, W, C
    num_classes: int
    batch_size: int
    num_train: int  # images of an epoch
    num_test: int
    peer: str  # a name in peers.PEERS
    optimizer: str = "adam"
    optimizer_options: Mapping[str, float] = dataclasses.field(default_factory=dict)
    augment: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    gpu_only: bool = False
    cpu_batch_size: int = 0  # 0: batch_size
    cpu_num_train: int = 0  # 0: num_train; fewer where an epoch would take hours
    cpu_num_test: int = 0

    def on(self, platform: str) -> "Case":
        """Returns the case as measured on `platform`."""
        if platform != "cpu":
            return self
        return dataclasses.replace(
            self,
            batch_size=self.cpu_batch_size or self.batch_size,
            num_train=self.cpu_num_train or self.num_train,
            num_test=self.cpu_num_test or self.num_test,
        )


_MNIST: dict[str, Any] = dict(
    image_shape=(28, 28, 1), num_classes=10, num_train=60_000, num_test=10_000
)
_GALAXY: dict[str, Any] = dict(
    image_shape=(224, 224, 3),
    num_classes=8,
    batch_size=64,
    num_train=99_808,
    num_test=24_952,
    cpu_batch_size=16,
    cpu_num_train=256,
    cpu_num_test=64,
    optimizer_options={"learning_rate": 3e-4},
    augment={
        "rotation_degrees": 90.0,
        "horizontal_flip": True,
        "vertical_flip": True,
        "resized_crop_scale": (0.8, 1.0),
        "resized_crop_ratio": (0.99, 1.01),
    },
)


def _cifar(num_layers: int) -> Case:
    """Seed 004's ViT with patch 4."""
    rates = dict.fromkeys(
        ("embedding", "attention", "mlp", "head"),
        0.2,
    )
    return Case(
        "vit",
        {
            "patch_size": 4,
            "hidden_dim": 192,
            "num_layers": num_layers,
            "num_heads": 4,
            "mlp_dim": 384,
            "norm": "post",
            "final_norm": False,
            "head_hidden_dims": (384, 192),
            "head_activation": "relu",
            "dropout_rate": 0.2,
            **{f"{place}_dropout_rate": rate for place, rate in rates.items()},
        },
        image_shape=(32, 32, 3),
        num_classes=100,
        batch_size=64,
        num_train=50_000,
        num_test=10_000,
        cpu_num_train=2_560,
        cpu_num_test=512,
        peer="encoder_vit",
        optimizer="adamw",
        optimizer_options={"learning_rate": 5e-4, "weight_decay": 0.05},
    )


SEEDS = {
    "vit_mnist": Case(
        "vit",
        {"patch_size": 7, "hidden_dim": 128, "num_layers": 4, "num_heads": 4, "mlp_dim": 256},
        batch_size=128,
        peer="vit",
        optimizer_options={"learning_rate": 5e-4},
        augment={"rotation_degrees": 10.0},
        cpu_num_train=12_800,
        cpu_num_test=2_560,
        **_MNIST,
    ),
    "vit_light": Case(
        "vit",
        {
            "patch_size": 4,
            "hidden_dim": 8,
            "num_layers": 2,
            "num_heads": 2,
            "mlp_dim": 32,
            "position_embedding": "sincos",
        },
        batch_size=32,
        peer="vit",
        optimizer_options={"learning_rate": 2e-3},
        cpu_num_train=12_800,
        cpu_num_test=2_560,
        **_MNIST,
    ),
    "mixer_mnist": Case(
        "mixer",
        {
            "patch_size": 4,
            "hidden_dim": 8,
            "num_layers": 12,
            "tokens_mlp_dim": 196,
            "mlp_dim": 32,
        },
        batch_size=128,
        peer="mixer",
        optimizer_options={"learning_rate": 5e-3},
        cpu_num_train=12_800,
        cpu_num_test=2_560,
        **_MNIST,
    ),
    "vit_cifar100_4p4l": _cifar(4),
    "vit_cifar100_4p8l": _cifar(8),
    "vit_galaxy_110421": Case(
        "vit",
        {
            "patch_size": 16,
            "hidden_dim": 256,
            "num_layers": 8,
            "num_heads": 8,
            "head_dim": 64,
            "mlp_dim": 64,
            "qkv_bias": False,
            "embedding_dropout_rate": 0.1,
            "mlp_dropout_rate": 0.1,
            "dropout_rate": 0.1,
        },
        peer="vit",
        **_GALAXY,
    ),
    "linformer_galaxy_arxiv": Case(
        "linformer",
        {
            "patch_size": 28,
            "hidden_dim": 128,
            "num_layers": 12,
            "num_heads": 8,
            "k_dim": 64,
            "mlp_dim": 512,
            "attention_dropout_rate": 0.1,
            "mlp_dropout_rate": 0.1,
        },
        peer="linformer",
        **_GALAXY,
    ),
    "vit_base_224": Case(
        "vit",
        {"patch_size": 16, "hidden_dim": 768, "num_layers": 12, "num_heads": 12, "mlp_dim": 3072},
        peer="vit",
        gpu_only=True,
        **_GALAXY,
    ),
}
