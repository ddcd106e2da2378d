"""Fixtures that several folders of tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

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
