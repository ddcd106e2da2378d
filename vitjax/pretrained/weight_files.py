"""Reading arrays from files: safetensors, npz and, where asked for, torch's pickles.

The only importer of safetensors.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vitjax import files
from vitjax.errors import UserError
from vitjax.pretrained import torch_pickle
from vitjax.pretrained.convert import Arrays

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
SAFE = (".safetensors", ".npz")


def read(path: Path, allow_pickle: bool = False) -> Arrays:
    """Returns a file's arrays by name; raises UserError where it is damaged or not allowed."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix not in PICKLES:
        raise UserError(
            f"{path} has no known kind of weights; expected a file whose name ends with "
            f"{', '.join(SAFE + PICKLES)}; change config.finetune.weights"
        )
    if not allow_pickle:
        raise UserError(
            f"{path} is a pickle of torch, which can hold code that runs when it is read; take the "
            "model's safetensors, or set --config.finetune.allow_pickle=true: then vitjax reads "
            "arrays from it and refuses everything else"
        )
    return torch_pickle.read(path)


def metadata(path: Path) -> dict[str, Any]:
    """Returns what `write` was given beside the arrays of a safetensors file; {} of any other."""
    if path.suffix != ".safetensors":
        return {}
    with _safetensors().safe_open(path, "np") as file:
        header = file.metadata() or {}
    try:
        value = json.loads(header.get("vitjax", "{}"))
    except (ValueError, RecursionError):
        return {}  # not as `write` makes it
    return value if isinstance(value, dict) else {}


def _read_safetensors(path: Path) -> Arrays:
    library = _safetensors()
    try:
        return library.numpy.load_file(path)
    except Exception as error:  # SafetensorError, a plain Exception, and what NumPy raises
        raise UserError(f"{path} is no whole safetensors file ({error}); get it again") from error


def _read_npz(path: Path) -> Arrays:
    try:
        # Not np.load: of other files it says how to read them as pickles.
        with path.open("rb") as opened, np.lib.npyio.NpzFile(opened) as file:
            arrays = dict(file)
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise UserError("a member is no npy file")
            return arrays
    except ValueError as error:
        raise UserError(
            f"{path} holds more than plain arrays, expected arrays of numbers by name, as "
            "numpy.savez writes them; change config.finetune.weights"
        ) from error
    except Exception as error:  # what zipfile and zlib raise for damaged bytes
        raise UserError(f"{path} is no whole npz file ({error}); get it again") from error


def write(path: Path, arrays: Arrays, metadata: dict[str, Any]) -> None:
    """Writes arrays as safetensors, whole or not at all; `metadata` becomes JSON in its header.

    Raises UserError where the file cannot be written.
    """
    header = {"format": "vitjax", "vitjax": json.dumps(metadata)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    files.write(path, _safetensors().numpy.save(contiguous, header))


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(
            "safetensors files need: pip install '.[pretrained]' in the checkout"
        ) from error
    return safetensors
