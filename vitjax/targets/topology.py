"""From a target to devices that are not there, which programs can be compiled for."""

import importlib.util
import os
from typing import Any

import jax
from jax.experimental import topologies

from vitjax.errors import UserError
from vitjax.targets.chips import Target
from vitjax.targets.gpu import description

_PLUGINS = {"tpu": "libtpu", "cuda": "jax_cuda12_plugin"}
# Without a device to try kernels on, XLA's choice among Triton's fails for some products.
_NO_AUTOTUNING = {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}


def compiler_options(target: Target) -> dict[str, Any]:
    """Returns what `.compile(compiler_options=...)` needs where the device is not there."""
    return _NO_AUTOTUNING if target.chip.platform == "cuda" else {}


def devices_of(target: Target) -> list[jax.Device]:
    """Returns the target's chips; JAX itself then computes on the CPU.

    Raises UserError where the target's compiler is not installed.
    """
    plugin, extra = _PLUGINS[target.chip.platform], target.chip.platform
    if importlib.util.find_spec(plugin) is None:
        raise UserError(
            f"compiling for {target} needs {plugin}: pip install '.[{extra}]' in the checkout "
            "(a device is not needed)"
        )
    jax.config.update("jax_platforms", "cpu")  # a plugin would look for its devices
    if target.chip.platform == "cuda":
        shape = f"1x1x{target.num_chips}"  # partitions, hosts, devices
        return topologies.get_topology_desc(
            platform="cuda",
            topology_name=shape,
            topology=shape,
            target_config=description(target.chip),
        ).devices
    _prepare_libtpu()
    options: dict[str, Any] = {}
    if target.num_chips == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    return topologies.get_topology_desc(
        platform="tpu", topology_name=str(target), **options
    ).devices


def _prepare_libtpu() -> None:
    """Tells libtpu not to look for a machine with a TPU, nor to keep other processes out."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
