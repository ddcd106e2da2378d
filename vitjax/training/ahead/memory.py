"""What a compiled program needs of a device's memory, and what there is."""

import math
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from vitjax import models
from vitjax.errors import UserError
from vitjax.machine.host import available_memory
from vitjax.training.finetune import split
from vitjax.training.placement.sharding import num_parts, placed
from vitjax.training.step import Recipe


def peak_bytes(compiled: Any) -> int:
    """Returns the memory of a device that running a compiled program takes at its peak, predicted.

    Arguments and results that share memory (donated ones) count once.
    """
    analysis = compiled.memory_analysis()
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + analysis.temp_size_in_bytes
    )


def limit_bytes(device: jax.Device) -> int | None:
    """Returns the memory that programs on `device` may take; None where it cannot be told.

    A CPU's devices share what the machine has left.
    """
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    if device.platform != "cpu":
        return None
    available = available_memory()
    return available and available // device.client.local_device_count()


def state_bytes(recipe: Recipe, mesh: Mesh) -> int:
    """Returns the memory of a device that what training keeps takes, whatever the batch.

    These are the variables, the gradients, the optimiser's state and averaged parameters.
    """
    params = models.abstract_params(recipe.model, recipe.image_shape)
    learning, _ = split(params, recipe.train_only)
    kept = params, learning, jax.eval_shape(recipe.tx.init, learning)
    averaged = learning if recipe.ema_decay else None
    arrays = jax.tree.leaves(placed(mesh, (kept, averaged)))
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in arrays)


def check_state_fits(recipe: Recipe, mesh: Mesh) -> None:
    """Raises UserError if a model is larger than the memory, before any of it is made.

    On a CPU the system would end the process, or be busy swapping, when it is.
    """
    device = mesh.local_devices[0]
    needed, limit = state_bytes(recipe, mesh), limit_bytes(device)
    if limit is None or needed <= limit:
        return
    fsdp = "raise config.mesh.fsdp, " if num_parts(mesh) < mesh.size else ""
    count = models.num_params(models.abstract_params(recipe.model, recipe.image_shape))
    raise UserError(
        f"{count:,} parameters with their gradients and the optimiser's state need {gib(needed)} "
        f"GiB, {device.device_kind} has {gib(limit)}; lower config.model.num_layers or its widths, "
        f"{fsdp}or choose a config.optim.name that keeps less, such as sgd"
    )


def can_remat(model: nn.Module) -> bool:
    """Whether a model has the option `remat`, and does not use it."""
    return not getattr(model, "remat", True)


def check_fits(
    compiled: Any,
    device: jax.Device,
    batch_size: int,
    parts: int,
    *,
    can_remat: bool,
    can_split: bool,
) -> None:
    """Raises UserError if a training step needs more memory than `device` has.

    `batch_size` images go through in `parts` micro-batches; `can_remat`: the model could do so;
    `can_split`: parameters could be split over more devices.
    """
    needed, limit = peak_bytes(compiled), limit_bytes(device)
    if limit is None or needed <= limit:
        return
    # XLA's CPU backend drops the barriers that keep what remat computes again from being kept.
    can_remat = can_remat and device.platform != "cpu"
    raise UserError(
        f"a step on {batch_size} images needs {gib(needed)} GiB, {device.device_kind} has "
        f"{gib(limit)}; {advice(parts, can_remat=can_remat, can_split=can_split)}, with another "
        "--workdir"
    )


def check_evaluation_fits(compiled: Any, device: jax.Device, batch_size: int) -> None:
    """Raises UserError if measuring `batch_size` images at once needs more than `device` has.

    Else it would be found out when an epoch has been trained.
    """
    needed, limit = peak_bytes(compiled), limit_bytes(device)
    if limit is not None and needed > limit:
        raise UserError(
            f"validation on {batch_size} images at once needs {gib(needed)} GiB, "
            f"{device.device_kind} has {gib(limit)}; lower config.data.eval_batch_size, with "
            "another --workdir"
        )


def advice(parts: int, *, can_remat: bool, can_split: bool) -> str:
    """Returns what to change where a step, whose batch is cut into `parts`, does not fit."""
    remat = "set config.model.remat=true, " if can_remat else ""
    fsdp = "raise config.mesh.fsdp, " if can_split else ""
    return (
        f"raise config.optim.accumulation_steps above {parts}, {remat}{fsdp}or lower "
        "config.data.batch_size"
    )


def gib(size: int) -> str:
    """Returns bytes as GiB, to three digits."""
    return f"{size / 2**30:.3g}"
