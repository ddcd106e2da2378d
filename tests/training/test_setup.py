"""From a config to what a run computes with."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import quiet, small

from vitjax.errors import UserError
from vitjax.training.setup import compute_dtype, dataset_json, prepare


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ({"platform": "cpu"}, jnp.float32),
        ({"platform": "tpu"}, jnp.bfloat16),
        ({"platform": "gpu", "compute_capability": "7.5"}, jnp.float32),
        ({"platform": "gpu", "compute_capability": "8.0"}, jnp.bfloat16),
        ({"platform": "gpu", "compute_capability": "12.0"}, jnp.bfloat16),
        ({"platform": "gpu", "compute_capability": "gfx90a"}, jnp.bfloat16),
    ],
)
def test_auto_is_what_the_device_multiplies_fast(device, expected, monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [types.SimpleNamespace(**device)])
    assert compute_dtype("auto") == expected
    assert compute_dtype("bfloat16") == jnp.bfloat16


def test_a_run_tells_the_labels_that_it_began_with(tmp_path):
    def told(labels):
        images = np.zeros((8, 8, 8), np.uint8)
        images[::2] = 255
        np.savez(tmp_path / "set.npz", train_images=images, train_labels=labels)
        data = {"data.name": "npz", "data.data_dir": str(tmp_path / "set.npz")}
        config = small(**data, **{"data.valid_fraction": 0.3, "data.batch_size": 2})
        return dataset_json(prepare(config, quiet))

    first = told([0, 1] * 4)
    assert set(first["labels"]) == set(first["num_examples"]) == {"train", "valid", "test"}
    assert told([0, 1] * 4) == first
    others = told([1, 0] * 4)
    assert all(others["labels"][name] != digest for name, digest in first["labels"].items())


def test_numbers_of_64_bits_are_refused_in_a_line():
    jax.config.update("jax_enable_x64", True)
    try:
        with pytest.raises(UserError, match=r"at most 32 bits; leave JAX_ENABLE_X64 .* out"):
            prepare(small(), quiet)
    finally:
        jax.config.update("jax_enable_x64", False)
