"""What the JSON files of a run say: versions and hardware, the data set, the result."""

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import flax
import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

import vitjax
from vitjax.training.metrics import Metrics
from vitjax.training.setup import Setup

_OF_THE_EPOCH = (
    "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "step", "epoch",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Returns the versions that decide what is computed."""
    return {"vitjax": vitjax.__version__, "jax": jax.__version__, "flax": flax.__version__}


def provenance(mesh: Mesh) -> dict[str, Any]:
    """Returns what config.json holds besides the config: with what a run is computed."""
    return {"versions": versions(), "hardware": hardware(mesh)}


def hardware(mesh: Mesh) -> str:
    """Returns the devices and the host, as results name them."""
    host = f"{os.cpu_count()} {platform.machine()} cores"
    return f"{mesh.size} x {mesh.devices.flat[0].device_kind}, host with {host}"


def dataset_json(setup: Setup) -> dict[str, Any]:
    """Returns what dataset.json holds."""
    dataset, recipe = setup.dataset, setup.recipe
    return {
        "name": dataset.name,
        "class_names": dataset.class_names,
        "mean": recipe.mean,
        "std": recipe.std,
        "image_shape": dataset.image_shape,
        "num_examples": {name: len(split.labels) for name, split in dataset.splits.items()},
    }


def eval_json(
    metrics: Metrics,
    best: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    setup: Setup,
    config: ConfigDict,
) -> dict[str, Any]:
    """Returns what eval.json holds: `metrics` on test, after the epoch `best` of the run."""
    return {
        "split": "test",
        **metrics.compute(),
        "num_examples": int(metrics.count),
        "num_params": setup.num_params,
        "num_trained_params": setup.num_trained_params,
        "num_macs": setup.num_macs,
        **{name: best[name] for name in _OF_THE_EPOCH if name in best},
        "num_epochs_run": history[-1]["epoch"],
        "seconds": sum(line["seconds"] for line in history),
        "model_name": config.model_name,
        "data_name": config.data.name,
        "seed": config.seed,
    }
