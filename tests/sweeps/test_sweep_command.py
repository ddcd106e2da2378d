"""Sweeps from the command line: killed, resumed, by several processes."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import (
    REPO,
    ends,
    environment,
    main,
    results,
    start_together,
    wait_for_epochs,
)

from vitjax.inference.predictor import load_predictor


def command(*args):
    return [sys.executable, "-m", "vitjax.sweep", "--config=configs/vit_digits.py:debug", *args]


def test_wrong_input_is_answered_by_one_line(tmp_path):
    words = ("--config=configs/vit_digits.py:debug", f"--workdir={tmp_path}", "--grid=seed=x")
    _, err = main(*words, module="vitjax.sweep", code=1)
    assert "--grid has seed=x" in err
    assert err.count("\n") == 1


GRID = "--grid=optim.learning_rate=1e-3,1e-2;seed=0,1"


def run_command(*args):
    done = subprocess.run(
        command(*args), capture_output=True, text=True, env=environment(), cwd=REPO
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_killed_and_resumed_ends_as_without(how, tmp_path):
    options = [GRID, "--config.num_epochs=6", "--config.steps_per_call=1"]
    killed = subprocess.Popen(
        command(*options, f"--workdir={tmp_path / 'killed'}"),
        env=environment(),
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    name = "learning_rate=0.01,seed=1"
    line = tmp_path / "killed" / "runs" / name / "metrics.jsonl"
    until = time.monotonic() + 100
    while not line.exists() and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    killed.send_signal(how)
    assert killed.wait(60) != 0
    run_command(*options, f"--workdir={tmp_path / 'killed'}")
    run_command(*options, f"--workdir={tmp_path / 'whole'}")
    for folder in (tmp_path / "whole/runs").iterdir():
        assert results(tmp_path / "killed/runs" / folder.name) == results(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [[], pytest.param(["--halve=1", "--memory_gib=0.01"], marks=pytest.mark.long)]
)
def test_two_processes_share_the_members(options, tmp_path):
    words = command(GRID, *options, f"--workdir={tmp_path / 'two'}")
    for code, _, error in ends(start_together(2, *words)):
        assert code == 0, error
    run_command(GRID, *options[:1], f"--workdir={tmp_path / 'one'}")
    parts = json.loads((tmp_path / "two/groups/0/parts.json").read_text())["parts"]
    assert [len(part) for part in parts] == ([2, 2] if options else [4])
    facts = json.loads((tmp_path / "two/plan.json").read_text())
    assert facts["hardware"].startswith("2 x cpu")
    for folder in (tmp_path / "one/runs").iterdir():
        for line, expected in zip(
            results(tmp_path / "two/runs" / folder.name), results(folder), strict=True
        ):
            assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)
        predictors = [
            load_predictor(tmp_path / sweep / "runs" / folder.name) for sweep in ("two", "one")
        ]
        images = np.random.RandomState(0).randint(0, 256, (9, *predictors[0].image_shape))
        logits = [predictor.logits(images.astype(np.uint8)) for predictor in predictors]
        # Not the weights: the biases of keys have no gradient, and follow the last digits alone.
        np.testing.assert_allclose(*logits, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--grid=seed=0,2", "--halve=1", "--memory_gib=1"])
def test_processes_of_other_options_refuse_in_one_line(option, tmp_path):
    words = command("--grid=seed=0,1", f"--workdir={tmp_path / 'sweep'}")
    (code, _, said), (second, _, silent) = ends(start_together(2, *words, of_last=[option]))
    assert (code, second, silent) == (1, 1, "")
    expected = "process 1 has another config, grid, --halve or --memory_gib than process 0"
    assert said == f"error: {expected}\n"
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_a_sweep_goes_on_with_fewer_processes(tmp_path):
    """Three members fill up two devices, and one; a signal at the second process saves on both."""
    options = ["--grid=seed=0,1,2", "--config.num_epochs=6", "--config.steps_per_call=1"]
    words = command(*options, f"--workdir={tmp_path / 'stopped'}")
    both = start_together(2, *words)
    wait_for_epochs(1, tmp_path / "stopped/runs/seed=0", both)
    both[1].send_signal(signal.SIGTERM)
    (first, _, error), (second, *_) = ends(both)
    assert (first, second) == (143, 143), error
    run_command(*options, f"--workdir={tmp_path / 'stopped'}")
    run_command(*options, f"--workdir={tmp_path / 'whole'}")
    for folder in (tmp_path / "whole/runs").iterdir():
        found = results(tmp_path / "stopped/runs" / folder.name)
        for line, expected in zip(found, results(folder), strict=True):
            assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_members_begin_with_given_weights(tmp_path):
    run_command("--grid=seed=0,1", f"--workdir={tmp_path / 'first'}")
    weights = tmp_path / "first" / "best"
    options = ["--grid=optim.learning_rate=1e-9,1e-8", f"--config.finetune.weights={weights}"]
    said = run_command(*options, "--config.num_epochs=1", f"--workdir={tmp_path / 'tuned'}")
    assert f"weights   {weights}" in said
