"""Reading arrays from files: safetensors, npz and, where asked for, torch's pickles.

The only importer of safetensors.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vitjax import files, text
from vitjax.errors import UserError
from vitjax.pretrained import torch_pickle
from vitjax.pretrained.convert import Arrays

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
SAFE = (".safetensors", ".npz")
_READ = (  # what safetensors calls the kinds of numbers that NumPy, or JAX for it, has
    *("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8"),
    *("BOOL", "C64"),
)
_MOST_INFLATED = 100  # times


def quiet(text: str) -> None:
    """Says nothing."""
    del text


def read(path: Path, allow_pickle: bool = False, say: Callable[[str], None] = quiet) -> Arrays:
    """Returns a file's arrays by name; raises UserError where it is damaged or not allowed.

    Characters of names that would not show are escaped. Of several state dicts it says which it
    took.
    """
    arrays = _read(path, allow_pickle, say)
    return {text.printable(name): array for name, array in arrays.items()}


def _read(path: Path, allow_pickle: bool, say: Callable[[str], None]) -> Arrays:
    if path.suffix == ".safetensors":
        return torch_pickle.unwrapped(_read_safetensors(path))
    if path.suffix == ".npz":
        return torch_pickle.unwrapped(_read_npz(path))
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
    return torch_pickle.read(path, say)


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
        with library.safe_open(path, "np") as file:
            names = file.keys()
            kinds = {file.get_slice(name).get_dtype() for name in names}
        unread = sorted(kinds.difference(_READ))
        if not unread:
            return library.numpy.load_file(path)
    except Exception as error:  # SafetensorError, a plain Exception, and what NumPy raises
        raise UserError(
            f"{path} is no whole safetensors file ({text.one_line(error)}); get it again"
        ) from error
    raise UserError(
        f"{path} holds numbers of {', '.join(unread)}, expected weights that are not quantised; "
        "change config.finetune.weights"
    )


def _read_npz(path: Path) -> Arrays:
    _check_inflation(path)
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
        raise _no_npz(path, error) from error


def _check_inflation(path: Path) -> None:
    """Raises UserError where a small npz would fill the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            times = torch_pickle.inflation(archive)
    except Exception as error:
        raise _no_npz(path, error) from error
    if times > _MOST_INFLATED:
        raise UserError(
            f"{path} would fill {times:.0f} times its size, expected weights, which hardly shrink "
            "when they are compressed; change config.finetune.weights"
        )


def _no_npz(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is no whole npz file ({text.one_line(error)}); get it again")


def write(path: Path, arrays: Arrays, metadata: dict[str, Any], layout: str = "vitjax") -> None:
    """Writes arrays as safetensors, whole or not at all; `metadata` becomes JSON in its header.

    `layout` says whose names and axes they are: "pt" for torch's, which transformers asks for.
    Raises UserError where the file cannot be written.
    """
    header = {"format": layout, "vitjax": json.dumps(metadata)}
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    files.write(path, _safetensors().numpy.save(contiguous, header))


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(
            "safetensors files need: pip install '.[pretrained]' in the checkout"
        ) from error
    return safetensors
