"""Chips by name, and how compilers are told of them."""

import dataclasses
import importlib.util
import re

import pytest

from vitjax.errors import UserError
from vitjax.targets import chips, gpu, topology
from vitjax.targets.figures import Figures


@pytest.mark.parametrize(
    ("text", "name", "count", "shown"),
    [
        ("v5e", "v5e", 1, "v5e:1x1"),
        ("v5e:2x4", "v5e", 8, "v5e:2x4"),
        ("v6e:16x16", "v6e", 256, "v6e:16x16"),
        ("h200", "h200", 1, "h200"),
        ("h200x8", "h200", 8, "h200x8"),
        ("t4", "t4", 1, "t4"),
    ],
)
def test_targets_by_name(text, name, count, shown):
    target = chips.parse(text)
    assert (target.chip.name, target.num_chips, str(target)) == (name, count, shown)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v5", "--target=v5 is unknown; expected one of v5e, v6e, t4, a100, h100, h200"),
        ("v5e:8", "--target=v5e:8 is unknown"),
        ("h200:2x4", "--target=h200:2x4 is unknown"),
        ("", "--target= is unknown"),
        ("v5e:32x32", "--target=v5e:32x32 has 1024 chips; expected 1 to 256"),
        ("h200x0", "--target=h200x0 has 0 chips; expected 1 to 256"),
    ],
)
def test_what_is_no_target(text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        chips.parse(text)


def test_every_gpu_is_described():
    for chip in chips.CHIPS.values():
        if chip.platform == "cuda":
            text = gpu.description(chip)
            assert text.count("{") == text.count("}")
            assert f"device_memory_size: {chip.memory}" in text
    t4, h200 = (gpu.description(chips.CHIPS[name]) for name in ("t4", "h200"))
    assert "cuda_compute_capability { major: 7 minor: 5 feature_extension: NONE }" in t4
    assert "major: 9 minor: 0 feature_extension: ACCELERATED_FEATURES" in h200


def test_jax_leaves_a_quarter_of_a_gpus_memory_alone():
    h200, v5e = chips.CHIPS["h200"], chips.CHIPS["v5e"]
    assert h200.usable_memory == 0.75 * h200.memory
    assert v5e.usable_memory == v5e.memory


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e:2x4", r"compiling for v5e:2x4 needs libtpu: pip install '\.\[tpu\]'"),
        ("h200", r"compiling for h200 needs jax_cuda12_plugin: pip install '\.\[cuda\]'"),
    ],
)
def test_a_compiler_that_is_missing_is_named(name, message, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=message):
        topology.devices_of(chips.parse(name))


def test_bound_and_padding_by_hand():
    chip = chips.Chip("x", "tpu", "bfloat16", 1e12, 1e9, 10**9, 1e8)
    figures = Figures(
        compile_seconds=1.0,
        code_bytes=0,
        argument_bytes=0,
        temp_bytes=0,
        peak_bytes=0,
        bytes=9e9,
        memory_bytes=2_000_000,  # 2 ms
        once_bytes=0,
        flops=1e9,  # 1 ms
        cycles=3_000,
        num_ops=1,
        collective_bytes=50_000,  # 0.5 ms
        alone_bytes=50_000,
        largest_bytes=100,
        padded_bytes=150,
    )
    assert figures.bound_seconds(chip) == pytest.approx(2.5e-3)
    beside = dataclasses.replace(figures, alone_bytes=0)
    assert beside.bound_seconds(chip) == pytest.approx(2e-3)
    longer = dataclasses.replace(beside, collective_bytes=300_000)
    assert longer.bound_seconds(chip) == pytest.approx(3e-3)
    assert figures.padding == 1.5
    assert figures.estimated_seconds(chip) is None  # of an unknown clock
    known = dataclasses.replace(chip, clock=1e9)
    assert figures.estimated_seconds(known) == pytest.approx(3e-6)
