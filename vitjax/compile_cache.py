"""Compiled programs are kept, so that a second start is quick."""

import contextlib
import functools
import os
import platform
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

_FOLDER = "jax_compilation_cache_dir"
_UNREADABLE = re.compile("Error reading persistent compilation cache entry for '([^']+)'")


def use_compile_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second start is quick.

    JAX_COMPILATION_CACHE_DIR chooses another folder; JAX_ENABLE_COMPILATION_CACHE=0 turns it off.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with contextlib.suppress(RuntimeError):  # no home: nothing is kept
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            folder = Path(base) / "vitjax" / "xla" / _machine()
            with contextlib.suppress(OSError):  # it cannot be written: JAX would warn of each
                folder.mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK):
                    jax.config.update(_FOLDER, str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # JAX leaves out what compiles within a second, such as a small network's evaluation.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    _replace_unreadable()


@functools.cache  # once, however many commands a process runs
def _replace_unreadable() -> None:
    """Has programs that cannot be read deleted, as JAX would warn of each at every start.

    A kill, or a full disk, leaves them: JAX writes in place, and never over what is there.
    """
    import jax

    show = warnings.showwarning

    def forget(message: Any, *where: Any, **options: Any) -> None:
        """Deletes what a warning is about instead of showing it."""
        found, folder = _UNREADABLE.match(str(message)), jax.config.values[_FOLDER]
        if not (found and folder):
            return show(message, *where, **options)
        for file in Path(folder).glob(f"{found[1]}-*-cache"):
            with contextlib.suppress(OSError):
                file.unlink()

    warnings.showwarning = forget


def _machine() -> str:
    """Returns a name for this kind of processor: programs compiled for another may crash on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()}-{zlib.crc32(features.encode()):08x}"
