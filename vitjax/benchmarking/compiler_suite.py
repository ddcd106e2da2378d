"""What XLA's compilers tell of the published models on chips that need not be there."""

import contextlib
import dataclasses
import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vitjax import models
from vitjax.benchmarking.cases import SEEDS
from vitjax.benchmarking.ours import cached_in, make_recipe
from vitjax.benchmarking.prediction_tables import case_lines
from vitjax.errors import UserError, raise_all
from vitjax.targets import chips
from vitjax.targets.chips import Target
from vitjax.targets.figures import DoesNotFit, compile_for
from vitjax.targets.stages import Stage, stages
from vitjax.targets.topology import devices_of
from vitjax.training.ahead.preflight import preflight
from vitjax.training.placement.sharding import check_batch_size, make_mesh
from vitjax.training.step import Recipe

Say = Callable[[str], None]

DEFAULT_TARGETS = {"tpu": "v5e", "gpu": "h200"}
CONFIGS = ("vit_base_cifar100", "resnet18_cifar100", "swin_cifar100")  # of configs/, beside SEEDS
NAMES = (*SEEDS, *CONFIGS)
_PLATFORMS = {"tpu": "tpu", "gpu": "cuda"}  # that the chips of a suite have
_VERSIONS = ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin", "flax", "optax")
_DATA_SHARE = 0.25  # of a chip's memory, that the training images may take here


class Work(NamedTuple):
    """What is compiled, on as much data as is taken here."""

    recipe: Recipe
    stored_shape: tuple[int, int, int]  # H, W, C of the data's images


def predict(
    suite: str,
    target_name: str,
    only: Sequence[str],
    load_config: Callable[[str], ConfigDict],
    say: Say,
) -> dict[str, Any]:
    """Compiles every stage of every model, or of `only` some, for a target of the suite.

    `load_config` gives the configs of CONFIGS. Raises UserError for an unknown name or target, or
    where the target's compiler is not installed.
    """
    target = chips.parse(target_name or DEFAULT_TARGETS[suite])
    if target.chip.platform != _PLATFORMS[suite]:
        raise UserError(f"--target={target_name} is for another suite than --suite={suite}")
    for name in only:
        if name not in NAMES:
            raise UserError(f"--only={name} is not in the suite, which has {', '.join(NAMES)}")
    mesh = make_mesh(devices_of(target))
    cases = []
    with cached_in(None):
        for name in only or NAMES:
            cases.append(_case(name, target, mesh, work(name, target, mesh, load_config)))
            say("\n".join(case_lines(cases[-1])))
    return {"target": str(target), "cases": cases, "versions": versions()}


def work(name: str, target: Target, mesh: Mesh, load_config: Callable[[str], ConfigDict]) -> Work:
    """Returns what is compiled of the model `name`, one of NAMES, for a target."""
    if name in CONFIGS:
        config = load_config(name)
        config.dtype = target.chip.dtype
        found = preflight(config, list(mesh.devices.flat))
        raise_all(found.wrong)
        assert found.outline is not None
        recipe, stored_shape = found.setup(config).recipe, found.outline.image_shape
    else:
        case = SEEDS[name]
        recipe, stored_shape = make_recipe(case, jnp.dtype(target.chip.dtype)), case.image_shape
        check_batch_size(recipe.batch_size, recipe.accumulation_steps, mesh.size)
    fitting = int(_DATA_SHARE * target.chip.memory / math.prod(stored_shape))
    few = dataclasses.replace(recipe, num_examples=min(recipe.num_examples, fitting))
    return Work(few, stored_shape)


def _case(name: str, target: Target, mesh: Mesh, of: Work) -> dict[str, Any]:
    """Returns what the compiler tells of a model, stage by stage."""
    recipe = of.recipe
    return {
        "name": name,
        "target": str(target),
        "batch_size": recipe.batch_size,
        "num_examples": recipe.num_examples,
        "num_params": models.num_params(models.abstract_params(recipe.model, recipe.image_shape)),
        "stages": {
            stage_name: figures_of(target, mesh, stage)
            for stage_name, stage in stages(recipe, mesh, of.stored_shape).items()
        },
    }


def figures_of(target: Target, mesh: Mesh, stage: Stage) -> dict[str, Any]:
    """Returns what the compiler tells of a stage, or how much memory it lacks."""
    try:
        _, figures = compile_for(target, mesh, stage)
    except DoesNotFit as error:
        return {"does_not_fit": error.needed}
    return dataclasses.asdict(figures) | {
        "padding": figures.padding,
        "bound_seconds": figures.bound_seconds(target.chip),
        "estimated_seconds": figures.estimated_seconds(target.chip),
    }


def versions() -> Mapping[str, str]:
    """Returns the versions that predictions depend on, of what is installed."""
    found = {}
    for name in _VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
