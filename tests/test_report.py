"""The report command on whole runs."""

import json
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from runs import REPO, environment, main


def report(*args, code=0):
    """Runs vitjax.report and returns (stdout, stderr); its exit code must be `code`."""
    command = [sys.executable, "-m", "vitjax.report", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=REPO)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on digits, with its report."""
    workdir = tmp_path_factory.mktemp("runs") / "digits"
    main("--config=configs/vit_digits.py:debug", f"--workdir={workdir}")
    report(f"--workdir={workdir}", "--num_mistakes=3", "--images=test/7,test/2")
    return workdir


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_page_states_the_runs_figures(run):
    evaluation = json.loads((run / "eval.json").read_text())
    page = (run / "report" / "index.html").read_text()
    assert "<title>ViT on digits</title>" in page
    for figure in (f"{evaluation['accuracy']:.2%}", f"{evaluation['num_params']:,}"):
        assert f"<dd>{figure}</dd>" in page
    assert str(REPO) not in page.replace(str(run), "")


def test_page_shows_the_images_asked_for(run):
    page = (run / "report" / "index.html").read_text()
    shown = re.findall(r"\((test/\d+)\)\. The rollout", page)
    assert shown == 2 * ["test/7", "test/2"] or shown == ["test/7", "test/2"]
    assert len(list((run / "report").glob("mistake_*.png"))) == 3


def test_parts_add_up_to_the_whole(run):
    evaluation = json.loads((run / "eval.json").read_text())
    page = (run / "report" / "index.html").read_text()
    total = re.search(r">total</th><td>([\d,]+)</td><td></td><td>([\d,]+)</td>", page)
    counts = [int(count.replace(",", "")) for count in total.groups()]
    assert counts == [evaluation["num_params"], evaluation["num_macs"]]


def test_unknown_image_is_named(run):
    _, error = report(f"--workdir={run}", "--images=test/99999", code=1)
    assert error.startswith("error: no image 'test/99999'; ids are as in predictions.npz")


def test_damaged_predictions_are_named(run, tmp_path):
    workdir = copied(run, tmp_path)
    (workdir / "predictions.npz").write_bytes(b"PK")
    _, error = report(f"--workdir={workdir}", code=1)
    assert f"{workdir / 'predictions.npz'} is damaged" in error


def test_folder_without_a_run_is_named(tmp_path):
    _, error = report(f"--workdir={tmp_path / 'none'}", code=1)
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert str(tmp_path / "none") in error


@pytest.mark.slow
@pytest.mark.parametrize("model_name", ["vit", "linformer", "mixer"])
def test_real_run_is_small_and_quick(model_name, real_data, tmp_path):
    options = ["--config.num_epochs=1", f"--config.data.data_dir={real_data('tfds')}"]
    if model_name != "vit":
        options.append(f"--config.model_name={model_name}")
    main("--config=configs/vit_light.py:mnist", f"--workdir={tmp_path}", *options)
    start = time.perf_counter()
    report(f"--workdir={tmp_path}")
    assert time.perf_counter() - start < 60
    files = list((tmp_path / "report").iterdir())
    assert sum(path.stat().st_size for path in files) < 5e6
    confusion = json.loads((tmp_path / "eval.json").read_text())["confusion_matrix"]
    assert np.sum(confusion) == 10_000
