"""Torch's files without torch: a reader that builds arrays and refuses all else.

A pickle is a program that may call anything. This one may only name what a state dict needs:
torch's tensor rebuilder and storage types, and OrderedDict; every other name ends the reading.
"""

import collections
import functools
import io
import math
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from vitjax import text
from vitjax.errors import UserError
from vitjax.pretrained.convert import Arrays

_DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
# Where trainers put a model's arrays; averages of them (EMA) come first.
_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "net")

_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and AveragedModel, of torch.compile


def read(path: Path, say: Callable[[str], None]) -> Arrays:
    """Returns the arrays of a state dict that torch saved (since 1.6, as a zip file).

    Of several, that with averaged weights is taken, and said.
    Raises UserError for what is damaged, older, or holds anything but arrays and plain values.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if inflation(archive) > 1:
                raise _Refused("holds more than its own size, which torch.save does not write")
            (name,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
            folder = name.removesuffix("data.pkl")
            reader = _Reader(
                io.BytesIO(archive.read(name)), lambda key: archive.read(f"{folder}data/{key}")
            )
            content = reader.load()
    except zipfile.BadZipFile as error:
        raise UserError(
            f"{path} is damaged, or no file of torch.save since 1.6; get it again, or save it anew "
            "with a newer torch"
        ) from error
    except _Refused as error:
        raise UserError(
            f"{path} {text.one_line(error)}; save its state_dict() alone, as safetensors"
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        raise UserError(
            f"{path} is damaged ({type(error).__name__}: {text.one_line(error)})"
        ) from error
    return _arrays(content, path, say)


def inflation(archive: zipfile.ZipFile) -> float:
    """How many times larger the members of a file are than it is itself."""
    file = archive.fp
    assert file is not None  # open
    return sum(info.file_size for info in archive.infolist()) / max(file.seek(0, io.SEEK_END), 1)


def _arrays(content: Any, path: Path, say: Callable[[str], None]) -> Arrays:
    """Returns the arrays by name; the state dict may lie two levels down, under usual names."""
    for _ in range(2):
        places = content if isinstance(content, Mapping) else {}
        found = [key for key in _NESTED if isinstance(places.get(key), Mapping) and places[key]]
        if len(found) > 1:
            say(f"took {found[0]} of the file, not {', '.join(found[1:])}")
        content = content[found[0]] if found else content
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} holds a {type(content).__name__}, expected a state dict")
    arrays = unwrapped(
        {
            name: value
            for name, value in content.items()
            if isinstance(name, str) and isinstance(value, np.ndarray)
        }
    )
    if not arrays:
        shown = ", ".join(text.printable(str(key)[:60]) for key in [*content][:8])
        raise UserError(f"{path} holds no arrays, but {shown}; save a state_dict() alone")
    return arrays


def unwrapped(arrays: Arrays) -> Arrays:
    """Returns arrays by the names that they have without what wrapped the model, and its count."""
    arrays = {name: array for name, array in arrays.items() if name != "n_averaged"}
    for prefix in 2 * _WRAPPERS:
        if all(name.startswith(prefix) for name in arrays):
            arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays


class _Refused(Exception):
    """The file has something that no state dict needs."""


class _Reader(pickle.Unpickler):
    """Unpickles with a closed list of names."""

    def __init__(self, file: io.BytesIO, storage: Callable[[str], bytes]):
        super().__init__(file)
        self._storage = functools.cache(storage)  # tensors may share one

    def find_class(self, module: str, name: str) -> Any:
        """Returns one of the few names allowed; raises _Refused for any other."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda array, *_: array
        if (module, name) == ("torch._utils", "_rebuild_tensor_v3"):
            raise _Refused(
                "holds numbers that NumPy lacks, such as fp8, expected weights that are not "
                "quantised"
            )
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise _Refused(f"names {module}.{name}, which is more than arrays")

    def persistent_load(self, saved: Any) -> np.ndarray:
        """Returns a storage as a flat array: ("storage", type, key, device, length)."""
        _, dtype, key, _, length = saved
        return np.frombuffer(self._storage(key), dtype, count=length)


def _rebuild(
    storage: np.ndarray,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool = False,
    hooks: Any = None,
    flags: Any = None,
) -> np.ndarray:
    """Returns a tensor's values: a view of its storage with strides, in elements.

    `flags` say that its values are those negated, or conjugated.
    """
    del requires_grad, hooks
    if flags:
        how = ", ".join(flags)
        raise _Refused(f"has a tensor of shape {shape} whose values ({how}) are not in its storage")
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if 0 not in shape and (offset < 0 or last >= len(storage) or min(strides, default=0) < 0):
        raise _Refused(f"has a tensor of shape {shape} that lies outside its storage")
    if math.prod(shape) > len(storage):
        raise _Refused(f"has a tensor of shape {shape} that is larger than its storage")
    in_bytes = [s * storage.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, in_bytes, writeable=False)
