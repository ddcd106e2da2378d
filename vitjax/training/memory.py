"""What a compiled program needs of a device's memory, and what there is."""

from typing import Any

import jax
from flax import linen as nn

from vitjax.errors import UserError
from vitjax.host import available_memory


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
        f"{gib(limit)}; {advice(parts, can_remat=can_remat, can_split=can_split)}"
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
