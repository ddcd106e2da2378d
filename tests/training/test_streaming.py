"""A streamed run is the run whose data lie on the devices, to the last digit."""

import gc
import json
import signal
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
from commands import REPO, command, environment, main_in_process_of_its_own, wait_for_epochs
from PIL import Image

import vitjax
from vitjax.config_file import load_config
from vitjax.data import load
from vitjax.data.readers.galaxy_zoo2 import synthetic
from vitjax.errors import Interrupted, UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.weights import read_variables
from vitjax.training.batch_parallel import BatchParallel
from vitjax.training.placement import streaming
from vitjax.training.placement.sharding import make_mesh
from vitjax.training.run import train_and_evaluate

FREE = ("seconds", "images_per_second", "data_wait")  # what a clock says


def config(**options):
    changes = {"model.num_layers": 1, "data.max_examples": 150, "data.augment.crop_padding": 1}
    # Muon's many products are rounded otherwise where XLA is told to compile quickly, as here.
    changes["optim.name"] = "adamw"
    return vitjax.get_config("vit_digits:debug", **changes, **options)


def quiet(text):
    del text


def lines(workdir):
    read = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key not in FREE} for line in read]


def result(workdir):
    found = json.loads((workdir / "eval.json").read_text())
    return {key: value for key, value in found.items() if key not in ("seconds", "sha256")}


def assert_equal_runs(a, b):
    assert lines(a) == lines(b)
    assert result(a) == result(b)
    weights = [read_variables(RunFolder(path), "last")[1]["params"] for path in (a, b)]
    vitjax_leaves = [np.concatenate([x.ravel() for x in _leaves(tree)]) for tree in weights]
    np.testing.assert_array_equal(*vitjax_leaves)


def _leaves(tree):
    return [y for x in tree.values() for y in (_leaves(x) if isinstance(x, dict) else [x])]


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("rest") / "run"
    train_and_evaluate(config(**{"data.stream": "never"}), workdir, quiet)
    return workdir


@pytest.mark.slow
def test_a_streamed_run_equals_one_at_rest(at_rest, tmp_path):
    said = []
    train_and_evaluate(config(**{"data.stream": "always"}), tmp_path / "run", said.append)
    assert_equal_runs(tmp_path / "run", at_rest)
    assert "of pixels streamed to the devices" in "\n".join(said)
    assert "waited for data" in "\n".join(said)
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert 0 <= line["data_wait"] <= 1


@pytest.mark.slow
def test_a_run_that_stops_amid_an_epoch_goes_on_either_way(at_rest, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    stopping = config(**{"data.stream": "always", "steps_per_call": 3})
    train, calls = BatchParallel.train, []

    def interrupted(self, *args):
        calls.append(args)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return train(self, *args)

    monkeypatch.setattr(BatchParallel, "train", interrupted)
    with pytest.raises(Interrupted):
        train_and_evaluate(stopping, workdir, quiet)
    monkeypatch.undo()
    said = []
    going_on = config(**{"data.stream": "never", "steps_per_call": 2})
    train_and_evaluate(going_on, workdir, said.append)
    assert "resuming at step 6" in said
    assert_equal_runs(workdir, at_rest)


@pytest.mark.slow
@pytest.mark.parametrize("row", ["vit_galaxy_zoo2.py:110421", "linformer_galaxy_zoo2.py:arXiv"])
def test_galaxies_are_the_same_streamed(row, tmp_path):
    """As published but for their size: center crop, rotation, flips, resized crop, dropout."""
    synthetic.write(tmp_path / "galaxies", 300)
    for stream in ("never", "always"):
        main_in_process_of_its_own(
            f"--config=configs/{row}",
            f"--workdir={tmp_path / stream}",
            f"--config.data.data_dir={tmp_path / 'galaxies'}",
            f"--config.data.stream={stream}",
            "--config.data.input_size=56",
            "--config.model.num_layers=2",
            "--config.model.patch_size=28",
            "--config.num_epochs=2",
            XLA_FLAGS="",  # as users compile, not as tests do
        )
    assert_equal_runs(tmp_path / "always", tmp_path / "never")


@pytest.mark.slow
def test_processes_read_the_same(at_rest, tmp_path):
    options = {"data.stream": "always", "data.num_workers": 2}
    train_and_evaluate(config(**options), tmp_path / "run", quiet)
    assert_equal_runs(tmp_path / "run", at_rest)
    until = time.monotonic() + 10  # Grain gives memory back in a thread
    while left := sum(type(each) is SharedMemory for each in gc.get_objects()):
        assert time.monotonic() < until, f"{left} batches that nobody gives back to the system"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "grid", ["seed=0,1", pytest.param("optim.learning_rate=1e-3,1e-2", marks=pytest.mark.long)]
)
@pytest.mark.slow
def test_a_streamed_sweep_equals_one_at_rest(grid, tmp_path):
    def at_rest(run):
        return tmp_path / "never" / "runs" / run.workdir.name

    for stream in ("never", "always"):
        runs = vitjax.train_grid(
            config(**{"data.stream": stream}), grid, tmp_path / stream, say=quiet
        )
        assert len(runs) == 2
    for run in runs:  # sums over a split may be rounded otherwise
        for line, other in zip(lines(run.workdir), lines(at_rest(run)), strict=True):
            assert line == pytest.approx(other, rel=1e-6)
        assert result(run.workdir)["accuracy"] == result(at_rest(run))["accuracy"]


@pytest.mark.slow
def test_a_step_that_is_not_finite_is_found_in_a_stream(tmp_path):
    broken = config(**{"data.stream": "always", "optim.learning_rate": 1e30})
    with pytest.raises(
        vitjax.errors.Diverged, match=r"NaN or infinity at step \d+ \(epoch 1\), in"
    ):
        train_and_evaluate(broken, tmp_path / "run", quiet)


@pytest.mark.slow
def test_a_run_may_be_cached_streamed_and_evaluated(tmp_path):
    random = np.random.RandomState(0)
    for name in ("light", "dark"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(20):
            pixels = random.randint(0, 128, (32, 32), np.uint8) + 127 * (name == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / name / f"{i}.png")
    options = {
        "data.name": "folder",
        "data.data_dir": str(tmp_path / "data"),
        "data.batch_size": 4,
        "data.cache": str(tmp_path / "cache"),
        "data.stream": "always",
    }
    run = vitjax.train(config(**options), tmp_path / "run", say=quiet)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert run.evaluate(say=quiet).accuracy == run.accuracy


@pytest.mark.parametrize(
    ("stream", "memory", "expected"),
    [
        ("auto", 10**12, False),
        ("auto", 10**5, True),
        ("never", 10**5, False),
        ("always", 10**12, True),
    ],
)
def test_auto_streams_what_does_not_fit(stream, memory, expected, monkeypatch):
    dataset = load("digits", on_status=quiet)
    monkeypatch.setattr(streaming, "limit_bytes", lambda device: memory)
    assert streaming.streams(stream, dataset, make_mesh()) is expected


def test_a_wrong_word_is_refused():
    wrong = load_config("configs/vit_digits.py:debug")
    wrong.data.stream = "perhaps"
    with pytest.raises(UserError, match=r"config\.data\.stream='perhaps' should be"):
        train_and_evaluate(wrong, "unused", quiet)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of children in files")
def test_processes_that_read_data_end_with_the_one_that_trains(tmp_path):
    words = "--config=configs/vit_digits.py:debug", f"--workdir={tmp_path}"
    options = "stream=always", "num_workers=2"
    words += "--config.num_epochs=100000", *(f"--config.data.{each}" for each in options)
    training = subprocess.Popen(command(*words), env=environment(), cwd=REPO)
    wait_for_epochs(1, tmp_path, [training])
    threads = Path(f"/proc/{training.pid}/task").glob("*/children")
    children = [child for file in threads for child in file.read_text().split()]
    assert len(children) >= 2
    training.kill()
    training.wait()
    until = time.monotonic() + 60
    while any(map(lives, children)):
        assert time.monotonic() < until, children
        time.sleep(0.1)


def lives(process):
    """Whether a process has not ended, nor waits for another one to be told so."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
