"""python -m vitjax.compare on run folders."""

import shutil

import commands
import numpy as np
import pytest
from PIL import Image

COMMAND = {"module": "vitjax.compare"}


def test_two_runs_are_evaluated_and_compared(own_run, tmp_path):
    other = shutil.copytree(own_run, tmp_path / "other")
    out, _ = commands.main(own_run, other, f"--figure={tmp_path / 'c.png'}", **COMMAND)
    assert f"evaluating {own_run}" in out
    assert "difference +0.0000" in out
    assert "McNemar's exact test p = 1" in out
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) > 300


def test_predictions_of_other_weights_are_not_taken(own_run, tmp_path):
    run = shutil.copytree(own_run, tmp_path / "run")
    commands.main(f"--workdir={run}", module="vitjax.evaluate")
    with np.load(run / "predictions.npz") as file:
        arrays = dict(file)
    arrays["probabilities"] = arrays["probabilities"][::-1]
    np.savez(run / "predictions.npz", **arrays | {"checkpoint": "of another run"})
    out, _ = commands.main(run, own_run, **COMMAND)
    assert f"evaluating {run}" in out
    assert "difference +0.0000" in out
    out, _ = commands.main(run, own_run, **COMMAND)
    assert "evaluating" not in out


def test_one_run_is_not_enough(digits_run):
    _, err = commands.main(digits_run, code=1, **COMMAND)
    assert "two runs or more are compared" in err


def test_a_comma_without_a_name_is_refused(digits_run):
    _, err = commands.main(digits_run, f"{digits_run},", code=1, **COMMAND)
    assert "names no run beside a comma" in err


def test_more_names_than_a_path_may_be_long_are_looked_up_one_by_one(digits_run, tmp_path):
    names = ",".join(f"{tmp_path}/none-{i:03d}" for i in range(200))
    _, err = commands.main(digits_run, names, code=1, **COMMAND)
    assert "none-000" in err
    _, err = commands.main(digits_run, ",".join(["none"] * 100), code=1, **COMMAND)
    assert "there is no folder none" in err


def test_a_figure_of_another_kind_is_refused(digits_run):
    _, err = commands.main(digits_run, digits_run, "--figure=c.jpg", code=2, **COMMAND)
    assert "expected a file whose name ends with .png" in err


@pytest.mark.slow
def test_several_seeds_and_names_with_commas(own_run, tmp_path):
    places = [tmp_path / name for name in ("a0", "a1", "b0", "rate=0.1,seed=1")]
    for place in places:
        shutil.copytree(own_run, place)
    a0, a1, b0, member = map(str, places)
    out, _ = commands.main(f"{a0},{a1}", f"{b0},{b0}", **COMMAND)
    assert "Welch" in out
    out, _ = commands.main(a0, member, **COMMAND)
    assert "McNemar's exact test p = 1" in out
    out, _ = commands.main(a0, f"{member},{b0},{member}", **COMMAND)
    assert "mean of 3 runs" in out
