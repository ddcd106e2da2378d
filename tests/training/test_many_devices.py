"""Runs whose batches, or parameters too, are split over devices: the same numbers everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from commands import REPO, environment, results
from jax.sharding import PartitionSpec
from on_eight_devices import TUNED, config, go_on, train
from small_runs import quiet

import vitjax
from vitjax.errors import UserError
from vitjax.training.placement import sharding
from vitjax.training.run import train_and_evaluate


def on_eight_devices(which, folder):
    """Runs what `which` says of the script, in a process that has eight devices."""
    script = Path(__file__).with_name("on_eight_devices.py")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    path = os.pathsep.join(map(str, (REPO, REPO / "tests")))
    done = subprocess.run(
        [sys.executable, str(script), which, str(folder)],
        env=environment(XLA_FLAGS=flags, PYTHONPATH=path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on eight devices, called by its mesh, and what one device makes of the same."""
    folder = tmp_path_factory.mktemp("runs")
    on_eight_devices("one", folder)
    train(folder / "1x1", 1, 1)
    return folder


@pytest.fixture(scope="module")
def others(folder):
    """The same folder with runs in other meshes."""
    on_eight_devices("others", folder)
    return folder


def check_equal(ours, theirs):
    """Compares the epochs and the results of two runs."""
    for line, expected in zip(results(ours), results(theirs), strict=True):
        assert line == pytest.approx(expected, rel=1e-5, abs=1e-5)
    got, expected = (json.loads((path / "eval.json").read_text()) for path in (ours, theirs))
    for name in ("loss", "accuracy", "num_examples", "epoch"):
        assert got[name] == pytest.approx(expected[name], rel=1e-5)


@pytest.mark.slow
def test_devices_do_not_matter(folder):
    check_equal(folder / "4x2", folder / "1x1")


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["8x1", "1x8"])
def test_the_mesh_does_not_matter(others, mesh):
    check_equal(others / mesh, others / "1x1")


@pytest.mark.slow
def test_a_run_goes_on_on_other_devices(others):
    check_equal(others / "on_8x1", others / "4x2")


def test_a_run_goes_on_on_one_device(folder):
    go_on(folder / "on_1x1", folder / "4x2", 1, 1)
    check_equal(folder / "on_1x1", folder / "4x2")


@pytest.mark.slow
def test_fine_tuning_in_micro_batches_is_the_same_in_parts(others):
    train(others / "tuned_1x1", 1, 1, **TUNED, **{"finetune.weights": str(others / "4x2")})
    check_equal(others / "tuned", others / "tuned_1x1")


def shards(folder, mesh):
    return json.loads((folder / mesh / "shards.json").read_text())


@pytest.mark.parametrize("part", [".params", ".opt_state[0].mu", ".opt_state[0].nu", ".ema_params"])
def test_parameters_averages_and_optimiser_state_lie_in_parts(folder, part):
    mlp = f"{part}['encoder']['block_0']['mlp']"
    assert shards(folder, "4x2")[f"{mlp}['out']['kernel']"] == [[512, 128], [256, 128]]
    assert shards(folder, "4x2")[f"{mlp}['in']['kernel']"] == [[128, 512], [64, 512]]


@pytest.mark.slow
def test_parts_are_as_many_as_the_mesh_says(others):
    path = ".params['encoder']['block_0']['mlp']['out']['kernel']"
    assert shards(others, "1x8")[path] == [[512, 128], [64, 128]]
    assert shards(others, "8x1")[path] == [[512, 128], [512, 128]]


def test_small_arrays_are_whole(folder):
    small = [".step", ".metrics.loss", ".params['encoder']['block_0']['mlp']['out']['bias']"]
    for path in small:
        shape, on_a_device = shards(folder, "4x2")[path]
        assert shape == on_a_device


@pytest.mark.slow
def test_a_run_in_parts_is_used_on_one_device(folder):
    run, alone = (vitjax.load(folder / mesh) for mesh in ("4x2", "1x1"))
    for each in (run, alone):
        assert each.evaluate(say=quiet).accuracy == pytest.approx(each.accuracy)
    images = np.zeros((3, 8, 8), np.uint8)
    for ours, theirs in zip(run.predict(images), alone.predict(images), strict=True):
        assert dict(ours) == pytest.approx(dict(theirs), abs=1e-5)
    assert run.report(num_maps=1, say=quiet).path.exists()
    assert "McNemar" in str(run.compare(alone, say=quiet))


@pytest.mark.parametrize(
    ("shape", "parts", "expected"),
    [
        ((768, 3072), 1, ()),  # nothing to split over
        ((768, 3072), 16, ("fsdp",)),  # not the last axis, although it is larger
        ((3072, 768), 16, ("fsdp",)),
        ((16, 16, 3, 768), 16, ("fsdp",)),  # of equal axes the first
        ((3, 3, 512, 512), 16, (None, None, "fsdp")),
        ((1, 197, 768), 16, (None, None, "fsdp")),  # no other axis can be
        ((197, 1001), 16, ()),  # none can be
        ((255, 256), 16, ()),  # small
        ((256, 256), 16, ("fsdp",)),
        ((65_536,), 16, ("fsdp",)),
        ((), 16, ()),
    ],
)
def test_how_an_array_is_split(shape, parts, expected):
    assert sharding.partition(shape, parts) == PartitionSpec(*expected)


@pytest.mark.parametrize(("data", "fsdp"), [(0, 3), (2, 2), (3, 1), (8, 8), (0, 16)])
def test_a_mesh_of_other_devices_is_refused(data, fsdp):
    given = rf"mesh\.data={data} and config\.mesh\.fsdp={fsdp} do not make up 8 device\(s\)"
    fitting = r"\(8, 1\), \(4, 2\), \(2, 4\), \(1, 8\)"
    with pytest.raises(UserError, match=rf"{given}; \(data, fsdp\) that do: {fitting}"):
        sharding.make_mesh(jax.devices()[:1] * 8, data=data, fsdp=fsdp)


def test_a_mesh_that_does_not_fit_stops_a_run(tmp_path):
    with pytest.raises(UserError, match=r"mesh\.fsdp=2 do not make up 1 device\(s\)"):
        train_and_evaluate(config(0, 2), tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("batch_size", "steps", "nearest"),
    [(100, 1, "96 or 104"), (100, 3, "96 or 120"), (5, 1, "8"), (0, 1, "8")],
)
def test_a_batch_that_does_not_divide_is_refused_with_what_would(batch_size, steps, nearest):
    given = rf"batch_size={batch_size} is not divisible by 8 device\(s\) .*_steps={steps}"
    with pytest.raises(UserError, match=rf"{given}; nearest that fit: {nearest}$"):
        sharding.check_batch_size(batch_size, steps, 8)
