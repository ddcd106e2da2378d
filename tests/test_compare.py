"""python -m vitjax.compare on run folders."""

import shutil

import runs
from PIL import Image

COMMAND = {"module": "vitjax.compare"}


def test_two_runs_are_evaluated_and_compared(own_run, tmp_path):
    other = shutil.copytree(own_run, tmp_path / "other")
    out, _ = runs.main(own_run, other, f"--figure={tmp_path / 'c.png'}", **COMMAND)
    assert f"evaluating {own_run}" in out
    assert "difference +0.0000" in out
    assert "McNemar's exact test p = 1" in out
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) > 300


def test_one_run_is_not_enough(digits_run):
    _, err = runs.main(digits_run, code=1, **COMMAND)
    assert "two runs or more are compared" in err
