"""The report command on whole runs."""

import json
import re
import shutil
import time

import numpy as np
import pytest
from commands import REPO, main, main_in_process_of_its_own

SHORT = ("--num_mistakes=0", "--num_maps=0")


def report(*args, code=0):
    """Runs vitjax.report and returns (stdout, stderr); its exit code must be `code`."""
    return main(*args, module="vitjax.report", code=code)


@pytest.fixture(scope="module")
def run(digits_run, tmp_path_factory):
    """A short run on digits, with its report."""
    workdir = shutil.copytree(digits_run, tmp_path_factory.mktemp("runs") / "digits")
    report(f"--workdir={workdir}", "--num_mistakes=3", "--images=digits/1787,digits/4")
    return workdir


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


@pytest.mark.slow
def test_page_states_the_runs_figures(run):
    evaluation = json.loads((run / "eval.json").read_text())
    page = (run / "report" / "index.html").read_text()
    assert "<title>ViT on digits</title>" in page
    for figure in (f"{evaluation['accuracy']:.2%}", f"{evaluation['num_params']:,}"):
        assert f"<dd>{figure}</dd>" in page
    assert str(REPO) not in page.replace(str(run), "")


def test_page_shows_the_images_asked_for(run):
    page = (run / "report" / "index.html").read_text()
    shown = re.findall(r"\((digits/\d+)\)\. The rollout", page)
    assert shown == ["digits/1787", "digits/4"]
    assert len(list((run / "report").glob("mistake_*.png"))) == 3


def test_parts_add_up_to_the_whole(run):
    evaluation = json.loads((run / "eval.json").read_text())
    page = (run / "report" / "index.html").read_text()
    total = re.search(r">total</th><td>([\d,]+)</td><td></td><td>([\d,]+)</td>", page)
    counts = [int(count.replace(",", "")) for count in total.groups()]
    assert counts == [evaluation["num_params"], evaluation["num_macs"]]


def test_unknown_image_is_named(run):
    _, error = report(f"--workdir={run}", "--images=digits/-1", code=1)
    assert error.startswith("error: no image 'digits/-1'; ids are as in predictions.npz")


def test_damaged_predictions_are_named(run, tmp_path):
    workdir = copied(run, tmp_path)
    (workdir / "predictions.npz").write_bytes(b"PK")
    _, error = report(f"--workdir={workdir}", code=1)
    assert f"{workdir / 'predictions.npz'} is damaged" in error


def test_predictions_of_other_images_are_refused(run, tmp_path):
    workdir = copied(run, tmp_path)
    with np.load(workdir / "predictions.npz") as file:
        np.savez(workdir / "predictions.npz", **{**file, "labels": file["labels"][::-1]})
    _, error = report(f"--workdir={workdir}", code=1)
    assert "predictions.npz is not of the images" in error


@pytest.mark.slow
def test_run_is_evaluated_once(run, tmp_path):
    workdir = copied(run, tmp_path)
    out, _ = report(f"--workdir={workdir}", *SHORT)
    assert "evaluating" not in out
    (workdir / "predictions.npz").unlink()
    out, _ = report(f"--workdir={workdir}", *SHORT)
    assert f"evaluating {workdir}" in out


@pytest.mark.slow
def test_data_that_have_moved_are_found_again(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (60, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "there.npz", train_images=images, train_labels=np.arange(60) % 3)
    data = ["--config.data.name=npz", f"--config.data.data_dir={tmp_path / 'there.npz'}"]
    workdir = tmp_path / "run"
    main("--config=configs/vit_digits.py:debug", f"--workdir={workdir}", *data,
         "--config.data.image_size=8", "--config.data.augment.crop_padding=1",
         "--config.num_epochs=1")  # fmt: skip
    (tmp_path / "there.npz").rename(tmp_path / "here.npz")
    _, error = report(f"--workdir={workdir}", *SHORT, code=1)
    assert "cannot be read" in error
    assert "Where they have moved, give --data_dir" in error
    report(f"--workdir={workdir}", f"--data_dir={tmp_path / 'here.npz'}", *SHORT)
    assert (workdir / "report" / "index.html").exists()


@pytest.mark.parametrize("made", [False, True])
def test_folder_without_a_run_is_named(made, tmp_path):
    if made:
        (tmp_path / "none").mkdir()
    _, error = report(f"--workdir={tmp_path / 'none'}", code=1)
    assert error.startswith(f"error: there is no {'file' if made else 'folder'} {tmp_path}")
    assert len(error.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_name",
    ["vit", *(pytest.param(name, marks=pytest.mark.long) for name in ("linformer", "mixer"))],
)
def test_report_of_real_digits_is_small_and_quick(model_name, real_data, tmp_path):
    options = [f"--config.model_name={model_name}", "--config.num_epochs=1"]
    options.append(f"--config.data.data_dir={real_data('tfds')}")
    words = ("--config=configs/vit_light.py:mnist", f"--workdir={tmp_path}", *options)
    main_in_process_of_its_own(*words)  # that of the tests compiles quickly and computes slowly
    start = time.perf_counter()
    report(f"--workdir={tmp_path}")
    assert time.perf_counter() - start < 60
    sizes = [path.stat().st_size for path in (tmp_path / "report").iterdir()]
    assert len(sizes) > 30
    assert sum(sizes) < 5e6
