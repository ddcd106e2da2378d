"""From a published row to the options of a run: what the configs read."""

from typing import Any

from ml_collections import ConfigDict

from vitjax.errors import UserError
from vitjax.published.ledger import find

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
    found = find(family, row)
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
