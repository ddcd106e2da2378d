"""Fixtures that several folders of tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Many tests compile the same programs; subprocesses inherit the folder.
_CACHE = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

_DEFAULT = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Finds real data, "tfds" or "galaxy_zoo2", in $VITJAX_DATA or ../shared/data; else skips."""

    def find(subpath: str) -> Path:
        path = Path(os.environ.get("VITJAX_DATA", _DEFAULT)) / subpath
        if not path.exists():
            pytest.skip(f"real data is absent: no {path} (set VITJAX_DATA)")
        return path

    return find
