"""With what a run is computed: versions and hardware."""

import platform
from typing import Any

import flax
import jax
from jax.sharding import Mesh

import vitjax
from vitjax.machine.host import num_cores


def provenance(mesh: Mesh) -> dict[str, Any]:
    """Returns what config.json holds besides the config: with what a run is computed."""
    return {"versions": versions(), "hardware": hardware(mesh)}


def versions() -> dict[str, str]:
    """Returns the versions that decide what is computed."""
    return {"vitjax": vitjax.__version__, "jax": jax.__version__, "flax": flax.__version__}


def hardware(mesh: Mesh) -> str:
    """Returns the devices and the host, as results name them."""
    host = f"{num_cores()} {platform.machine()} cores"
    return f"{mesh.size} x {mesh.devices.flat[0].device_kind}, host with {host}"
