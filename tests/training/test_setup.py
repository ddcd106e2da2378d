"""From a config to what a run computes with."""

import types

import jax
import jax.numpy as jnp
import pytest

from vitjax.training.setup import compute_dtype


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
