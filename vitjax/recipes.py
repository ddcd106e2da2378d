"""What several files in configs/ share: the settings of a family of experiments."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from ml_collections import ConfigDict

from vitjax.errors import UserError

T = TypeVar("T")


def choose_row(arg: str, rows: Mapping[str, T], what: str) -> T:
    """Returns `rows[arg]`, the first row for ""; raises UserError that names the rows."""
    if not arg:
        return next(iter(rows.values()))
    if arg not in rows:
        near = difflib.get_close_matches(arg, rows, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(
            f"unknown {what} {arg!r} after ':' in --config; choose from {', '.join(rows)}, or "
            f"debug{hint}"
        )
    return rows[arg]


def galaxy_zoo2(config: ConfigDict) -> ConfigDict:
    """Sets what all rows of seed 003 share: data, augmentation, optimiser, early stopping."""
    config.num_epochs = 200
    config.patience = 10
    config.data.update(
        name="galaxy_zoo2",
        label_column="label1",
        image_size=224,
        fit="center_crop",
        mean=(0.094, 0.0815, 0.063),
        std=(0.1303, 0.11, 0.0913),
    )
    config.data.augment.update(
        rotation_degrees=90.0,
        horizontal_flip=True,
        vertical_flip=True,
        resized_crop_scale=(0.8, 1.0),
        resized_crop_ratio=(0.99, 1.01),
    )
    if "stem" in config.model:  # the seed's own models; not its ResNet
        config.model.update(stem="linear", kernel_init="torch_linear")
    config.optim.name = "adam"
    config.schedule.name = "step"
    return config


def fine_tuned_vit_base(config: ConfigDict) -> ConfigDict:
    """Sets how a vit_b with published weights learns a small data set, at 224 pixels."""
    config.num_epochs = 5
    config.data.update(input_size=224, batch_size=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    config.model.update(kernel_init="trunc_normal", norm_epsilon=1e-12)
    config.optim.update(learning_rate=1e-4, weight_decay=0.05, clip_norm=1.0)
    config.schedule.update(name="cosine", warmup_epochs=0.5)
    config.finetune.update(weights="vit_b_in21k", layer_decay=0.75, head_factor=10.0)
    return config
