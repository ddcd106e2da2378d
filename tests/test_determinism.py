"""The same config, seed and kind of device give the same bits."""

import jax
import numpy as np
import pytest
from commands import main_in_process_of_its_own, newest_params, results

WORDS = ["--config=configs/vit_digits.py:debug", "--config.data.augment.crop_padding=1"]
AGAIN = {  # what differs: environment variables
    "compiled again": {"JAX_ENABLE_COMPILATION_CACHE": "0"},
    "from the compile cache": {},
}


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A run in a process whose compile cache is empty, and the folder of that cache."""
    folder = tmp_path_factory.mktemp("cold")
    environment = {"JAX_COMPILATION_CACHE_DIR": str(folder / "xla")}
    main_in_process_of_its_own(*WORDS, f"--workdir={folder / 'run'}", **environment)
    return folder / "run", environment


def run(workdir, **environment):
    main_in_process_of_its_own(*WORDS, f"--workdir={workdir}", **environment)
    return results(workdir), newest_params(workdir)


def assert_same_bits(ours, theirs):
    assert ours[0] == theirs[0]
    jax.tree.map(np.testing.assert_array_equal, ours[1], theirs[1])


@pytest.mark.slow
@pytest.mark.parametrize("way", AGAIN)
def test_a_run_gives_the_same_bits(way, cold, tmp_path):
    first, environment = cold
    again = run(tmp_path, **environment | AGAIN[way])
    assert_same_bits(again, (results(first), newest_params(first)))


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 16])
def test_threads_of_the_host_change_the_last_digits_at_most(threads, cold, tmp_path):
    """XLA cuts the sums of a product into as many parts."""
    found = run(tmp_path, NPROC=str(threads))[0]
    for ours, theirs in zip(found, results(cold[0]), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
