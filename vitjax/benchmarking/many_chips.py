"""What XLA's compiler tells of a training step on many TPU chips, by how they share its work."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from vitjax import models
from vitjax.benchmarking.cases import SEEDS, Case
from vitjax.benchmarking.compiler_suite import figures_of, versions
from vitjax.benchmarking.ours import cached_in, make_recipe
from vitjax.benchmarking.prediction_tables import many_chips_line
from vitjax.data.on_device import abstract_images
from vitjax.errors import UserError
from vitjax.targets import chips
from vitjax.targets.chips import Target
from vitjax.targets.stages import programs
from vitjax.targets.topology import devices_of
from vitjax.training.placement.sharding import make_mesh

Say = Callable[[str], None]

DEFAULT_TARGETS = ("v5e:4x4", "v5e:16x16")
_SHARED = 16  # chips that parameters are split over, where a model is tried so
_BATCH_PER_CHIP, _LARGEST_BATCH = 64, 4096


def _imagenet(model_name: str) -> Case:
    """A ViT of a published size, as it trains on ImageNet."""
    return dataclasses.replace(
        SEEDS["vit_base_224"],
        model_name=model_name,
        options={},
        num_classes=1000,
        optimizer="adamw",
        optimizer_options={"learning_rate": 1e-3, "weight_decay": 0.1},
        augment={"horizontal_flip": True},
    )


_LARGE = {name: _imagenet(name) for name in ("vit_b", "vit_l")}
_SMALL = {name: SEEDS[name] for name in ("vit_galaxy_110421", "linformer_galaxy_arxiv")}
CASES = {**_LARGE, **_SMALL}


def predict(target_name: str, only: Sequence[str], say: Say) -> dict[str, Any]:
    """Compiles a step of each model, or of `only` some, for a target or for all of DEFAULT_TARGETS.

    The large ones with batches alone split, and with parameters too. Raises UserError for an
    unknown name or target, or where the target's compiler is not installed.
    """
    for name in only:
        if name not in CASES:
            raise UserError(f"--only={name} is not in the suite, which has {', '.join(CASES)}")
    targets = [chips.parse(name) for name in ([target_name] if target_name else DEFAULT_TARGETS)]
    for target in targets:
        if target.chip.platform != "tpu":
            raise UserError(f"--target={target} is for another suite than --suite=many_chips")
    cases = []
    with cached_in(None):
        for target in targets:
            for name in only or CASES:
                for fsdp in (1, min(_SHARED, target.num_chips)) if name in _LARGE else (1,):
                    cases.append(_case(name, target, fsdp))
                    say(many_chips_line(cases[-1]))
    return {"cases": cases, "versions": versions()}


def _case(name: str, target: Target, fsdp: int) -> dict[str, Any]:
    """Returns what the compiler tells of a model's step; of the data a batch alone is there."""
    batch_size = min(_BATCH_PER_CHIP * target.num_chips, _LARGEST_BATCH)
    case = dataclasses.replace(CASES[name], batch_size=batch_size, num_train=batch_size)
    recipe = make_recipe(case, jnp.dtype(target.chip.dtype))
    mesh = make_mesh(devices_of(target), fsdp=fsdp)
    return {
        "name": name,
        "target": str(target),
        "data": mesh.shape["data"],
        "fsdp": fsdp,
        "batch_size": batch_size,
        "num_params": models.num_params(models.abstract_params(recipe.model, recipe.image_shape)),
        "data_bytes": abstract_images((batch_size,), recipe.image_shape).pixels.size,
        "step": figures_of(target, mesh, programs(recipe, mesh)["epoch"]),
    }
