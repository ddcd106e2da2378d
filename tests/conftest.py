"""Fixtures that several folders of tests share."""

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest

_DEFAULT = Path(__file__).parents[2] / "shared" / "data"

# Tests compile more than they run, and often the same; their subprocesses share this folder too.
_CACHE = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# The older code generator of XLA's CPU backend takes half the time; an unknown flag ends a process.
if tuple(map(int, jax.__version__.split(".")[:2])) < (0, 11):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_disable_most_optimizations", True)

# Traces are made of many small objects that live long: looking for garbage costs 15 % of the time.
gc.set_threshold(200_000, 20, 20)


@pytest.fixture
def heard_hangups() -> Iterator[None]:
    """Lets what a test starts hear SIGHUP, though nohup may have these tests ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Finds real data, "tfds" or "galaxy_zoo2", in $VITJAX_DATA or ../shared/data; else skips."""

    def find(subpath: str) -> Path:
        path = Path(os.environ.get("VITJAX_DATA", _DEFAULT)) / subpath
        if not path.exists():
            pytest.skip(f"real data is absent: no {path} (set VITJAX_DATA)")
        return path

    return find


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of seconds, for tests that do not change it."""
    from vitjax.config_file import load_config
    from vitjax.training.run import train_and_evaluate

    workdir = tmp_path_factory.mktemp("digits") / "run"
    train_and_evaluate(load_config("configs/vit_digits.py:debug"), workdir, lambda text: None)
    return workdir


@pytest.fixture
def own_run(digits_run: Path, tmp_path: Path) -> Path:
    """A copy of that run, to be changed."""
    return shutil.copytree(digits_run, tmp_path / "own_run")
