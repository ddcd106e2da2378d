"""The same config, seed and kind of device give the same bits."""

import jax
import numpy as np
import pytest
from commands import main_in_process_of_its_own, newest_params, results

WORDS = ["--config=configs/vit_digits.py:debug", "--config.data.augment.crop_padding=1"]
WAYS = {  # what differs: environment variables
    "again, compiled again": {"JAX_ENABLE_COMPILATION_CACHE": "0"},
    "from the compile cache": {},
    "from the compile cache again": {},
    "one host thread": {"NPROC": "1"},
    "sixteen host threads": {"NPROC": "16"},
    "sixteen host threads, compiled again": {"NPROC": "16", "JAX_ENABLE_COMPILATION_CACHE": "0"},
}


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A run in a process whose compile cache is empty, and the folder of that cache."""
    folder = tmp_path_factory.mktemp("cold")
    environment = {"JAX_COMPILATION_CACHE_DIR": str(folder / "xla")}
    main_in_process_of_its_own(*WORDS, f"--workdir={folder / 'run'}", **environment)
    return folder / "run", environment


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_run_gives_the_same_bits(way, cold, tmp_path):
    first, environment = cold
    main_in_process_of_its_own(*WORDS, f"--workdir={tmp_path}", **environment | WAYS[way])
    assert results(tmp_path) == results(first)
    jax.tree.map(np.testing.assert_array_equal, newest_params(tmp_path), newest_params(first))
