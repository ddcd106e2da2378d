"""What several files in configs/ share: a published row's options, the settings of a family."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from ml_collections import ConfigDict

from vitjax.errors import UserError
from vitjax.published.ledger import Row, find, rows
from vitjax.published.recipes import recipes_of

T = TypeVar("T")

OPTIONS = {  # cell of a row: the option that it is, in every family
    "batch_size": "data.batch_size",
    "crop_padding": "data.augment.crop_padding",
    "horizontal_flip": "data.augment.horizontal_flip",
    "rand_augment_ops": "data.augment.rand_augment_ops",
    "mean": "data.mean",
    "std": "data.std",
    "epochs": "num_epochs",
    "warmup_epochs": "schedule.warmup_epochs",
    "step_size": "schedule.step_size",
    "gamma": "schedule.gamma",
    "optimizer": "optim.name",
    "lr": "optim.learning_rate",
    "weight_decay": "optim.weight_decay",
    "class_weights": "loss.class_weights",
    "patch_size": "model.patch_size",
    "depth": "model.num_layers",
    "dim": "model.hidden_dim",
    "mlp_dim": "model.mlp_dim",
    "num_heads": "model.num_heads",
    "k_dim": "model.k_dim",
    "shared_kv": "model.share_kv",
    "head_hidden_dims": "model.head_hidden_dims",
    "activation": "model.activation",
    "emb_dropout": "model.embedding_dropout_rate",
}


def apply_row(config: ConfigDict, family: str, row: str) -> dict[str, Any]:
    """Sets the options that a row's corrected cells name; returns all of these cells.

    A row is called by its id as printed or by an alias without the signs that a shell reads
    (12xx21 for 12??21, 123021C for #123021C#). Raises UserError for an unknown row, and for one
    that publishes too little to be run.
    """
    found = _find(family, row)
    if found.config is None:
        raise UserError(
            f"row {row!r} of {family} has no config: {found.reason}; choose another after ':' in "
            "--config"
        )
    cells = found.hyperparameters
    config.update_from_flattened_dict(
        {
            OPTIONS[cell]: value.lower() if isinstance(value, str) else value
            for cell, value in cells.items()
            if cell in OPTIONS
        }
    )
    return cells


def _find(family: str, row: str) -> Row:
    """Returns a row; a UserError names the recipes too."""
    try:
        return find(family, row)
    except UserError as error:
        known = [each for one in rows(family=family) for each in recipes_of(one)]
        if not known:
            raise
        names = ", ".join(each.config.partition(":")[2] for each in known)
        raise UserError(f"{error}; recipes: {names}") from error


def split_recipe(arg: str) -> tuple[str, bool]:
    """Returns the row that a config's argument names, and whether it asks for its recipe.

    "mnist" is the row mnist as published, "mnist-recipe" its recipe, "recipe" that of the first.
    """
    if arg == "recipe" or arg.endswith("-recipe"):
        return arg.removesuffix("recipe").removesuffix("-"), True
    return arg, False


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


def small_images_recipe(config: ConfigDict, num_epochs: int) -> None:
    """Sets how a transformer learns images of 32 pixels from nothing: AdamW, cosine, strong mixing.

    As in DeiT (https://arxiv.org/abs/2012.12877) and CCT (2104.05704), but with averaged weights.
    """
    config.num_epochs, config.patience = num_epochs, 0
    config.data.batch_size = 128
    config.data.augment.update(
        crop_padding=4, horizontal_flip=True, policy="trivial_wide", cutmix_alpha=1.0
    )
    config.loss.label_smoothing = 0.1
    config.optim.update(
        name="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        decay_mask="kernels",
        clip_norm=1.0,
        ema_decay=0.999,
    )
    config.schedule.update(
        name="cosine", warmup_epochs=5.0, warmup_factor=0.0, end_factor=0.01, per_epoch=False
    )
    config.model.update(
        drop_path_rate=0.1,
        embedding_dropout_rate=0.0,
        attention_dropout_rate=0.0,
        mlp_dropout_rate=0.0,
        dropout_rate=0.0,
        head_dropout_rate=0.0,
    )


def muon_recipe(config: ConfigDict) -> None:
    """Sets how a small network learns MNIST fast: Muon, cosine, averaged weights."""
    config.optim.update(name="muon", learning_rate=5e-3, weight_decay=0.05, ema_decay=0.999)
    config.schedule.update(
        name="cosine", warmup_epochs=1.0, warmup_factor=0.0, end_factor=0.0, per_epoch=False
    )


def without_margin(config: ConfigDict) -> None:
    """Enlarges the middle 22 pixels of MNIST's digits, which fill 20 of 28, to 28 again."""
    config.data.update(image_size=22, fit="center_crop", input_size=28)


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
    if "stem" in config.model:  # the seed's own models; not its ResNet and VGG
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
