"""StableHLO files as `jax.export` makes and reads them, for CPUs, GPUs and TPUs alike."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from vitjax import files
from vitjax.errors import UserError

_PLATFORMS = ("cpu", "cuda", "tpu")


def write(
    path: Path, function: Callable[[Any], Mapping[str, Any]], image_shape: tuple[int, ...]
) -> None:
    """Writes a function of images uint8 [B, *image_shape], its constants within, for every B.

    Raises UserError where the file cannot be written, or flatbuffers is absent.
    """
    try:
        import flatbuffers  # noqa: F401 - jax.export needs it, and JAX does not ask for it
    except ImportError as error:
        raise UserError(
            "StableHLO files need flatbuffers: pip install '.[export]' in the checkout"
        ) from error
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *image_shape), jnp.uint8)
    exported = export.export(jax.jit(function), platforms=_PLATFORMS)(images)
    files.write(path, bytes(exported.serialize()))


def compute(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a file gives for images uint8 [B, H, W, C], by the name of the output."""
    found = export.deserialize(bytearray(path.read_bytes())).call(images)
    return {name: np.asarray(x) for name, x in found.items()}
