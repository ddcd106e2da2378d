"""Networks of transformers and timm, built at random: what `verify` compares with.

With benchmarking/peers.py the only importer of torch; needs the extra [bench].
"""

import enum
import importlib.machinery
import sys
import types
from typing import Any

_TORCHVISION = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.datasets.folder",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
)


class _Stub(types.ModuleType):
    """A module whose every name is an empty class."""

    def __init__(self, name: str):
        super().__init__(name)
        self.__path__: list[str] = []  # a package, too
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def import_timm() -> Any:
    """Imports timm; where torchvision lacks, with a stub: the networks need nothing of it."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        methods = "nearest bilinear bicubic box hamming lanczos nearest-exact"
        modes = {m.replace("-", "_").upper(): m for m in methods.split()}
        mode = enum.Enum("InterpolationMode", modes)  # type: ignore[misc]
        for name in _TORCHVISION:
            module = _Stub(name)
            module.InterpolationMode = mode
            sys.modules[name] = module
            parent, _, last = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], last, module)
    import timm

    return timm
