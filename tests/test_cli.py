"""The command line, as a user types it."""

import errno
import json
import os
import re
import signal
import subprocess
import time

import jax
import numpy as np
import pytest
from commands import (
    REPO,
    command,
    environment,
    lines,
    main,
    main_in_process_of_its_own,
    newest_params,
    results,
    steps,
)
from PIL import Image

import vitjax
from vitjax.__main__ import COMMANDS
from vitjax.sweeps.sweep_folder import SweepFolder
from vitjax.training.distill import find_teacher

SMALL = (
    "--config.num_epochs=3",
    "--config.data.max_examples=120",
    "--config.data.batch_size=32",
    "--config.model.num_layers=1",
    "--config.model.hidden_dim=8",
    "--config.model.mlp_dim=16",
    "--config.model.num_heads=2",
    "--config.model.patch_size=4",
    "--config.data.image_size=8",
    "--config.model.dropout_rate=0.1",
)


def rejected(*args, **kwargs):
    """Runs vitjax.main with something wrong, and returns its one line."""
    out, err = main(*args, code=kwargs.pop("code", 1), **kwargs)
    assert "Traceback" not in out + err
    assert err.count("\n") == 1, err
    return err


def test_a_reader_that_stops_early_is_no_error():
    words = command(module="vitjax.pretrained")
    with subprocess.Popen(
        words, cwd=REPO, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "small"
    return workdir, main_in_process_of_its_own(*SMALL, f"--workdir={workdir}")[0]


@pytest.mark.slow
def test_says_what_it_does_and_where_things_lie(finished):
    workdir, out = finished
    assert "digits: 120 train, 120 valid, 120 test images of 8x8x1, 10 classes" in out
    assert "890 parameters, 3,552 MACs per image" in out
    assert "batch 32, 32 per device" in out
    assert "compiling (" in out
    assert out.count("epoch ") >= 4
    assert f"lie in {workdir}" in out


def test_run_folder(finished):
    workdir, _ = finished
    names = {"config.json", "dataset.json", "metrics.jsonl", "eval.json", "checkpoints", ".lock"}
    assert {path.name for path in workdir.iterdir()} == names
    config = json.loads((workdir / "config.json").read_text())
    assert config["config"]["data"]["batch_size"] == 32
    assert set(config["versions"]) >= {"vitjax", "jax", "flax"}
    assert "--config.data.batch_size=32" in config["command"]


def test_again_says_finished(finished):
    workdir, _ = finished
    before = (workdir / "metrics.jsonl").read_bytes()
    out, _ = main(*SMALL, f"--workdir={workdir}")
    assert "is finished" in out
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_other_config_is_refused(finished):
    workdir, _ = finished
    line = rejected(*SMALL, f"--workdir={workdir}", "--config.seed=5")
    assert "seed was 0, is 5" in line


def test_killed_run_resumes_bit_for_bit(finished, tmp_path):
    whole, _ = finished
    process = subprocess.Popen(
        command(*SMALL, f"--workdir={tmp_path}"), env=environment(), cwd=REPO
    )
    while not list(tmp_path.glob("checkpoints/4/manifest.json")):  # epoch 1 is on disk
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    main_in_process_of_its_own(*SMALL, f"--workdir={tmp_path}")
    assert results(tmp_path) == results(whole)
    jax.tree.map(np.testing.assert_array_equal, newest_params(tmp_path), newest_params(whole))
    a, b = (json.loads((w / "eval.json").read_text()) for w in (tmp_path, whole))
    clock = ("seconds", "sha256")  # the latter is of the former, too
    assert {k: v for k, v in a.items() if k not in clock} == {
        k: v for k, v in b.items() if k not in clock
    }


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGHUP)),
    ],
)
@pytest.mark.usefixtures("heard_hangups")
def test_signal_saves_and_leaves(tmp_path, number):
    args = (*SMALL, f"--workdir={tmp_path}", "--config.num_epochs=100000")
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen(command(*args), env=environment(), cwd=REPO, **pipes)
    while not (tmp_path / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"{number.name}: saved at step" in err
    assert f"--workdir={tmp_path}" in err
    assert "Traceback" not in err
    newest = steps(tmp_path)[-1]
    assert str(newest) in err
    assert lines(tmp_path)[-1]["step"] <= newest


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 8])
def test_devices_do_not_matter(finished, tmp_path, devices):
    whole, _ = finished
    flags = f"--xla_force_host_platform_device_count={devices}"
    words = (*SMALL, f"--workdir={tmp_path}")
    out, _ = main_in_process_of_its_own(*words, XLA_FLAGS=flags)
    assert f"batch 32, {32 // devices} per device" in out
    for ours, theirs in zip(results(tmp_path), results(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


def write_config(path, text):
    path.write_text(
        f"from vitjax.config import default\ndef get_config(arg):\n  c = default()\n  {text}\n"
    )
    return f"--config={path}"


BAD_CONFIGS = {
    "misspelt option": ("c.optim.lr = 3.0\n  return c", "lr"),
    "misspelt update": ("c.optim.update(momentun=0.9)\n  return c", "momentun"),
    "unknown name": ("return d", "NameError: name 'd' is not defined"),
    "syntax": ("return (", "SyntaxError"),
    "nothing returned": ("pass", "returned NoneType, expected a ConfigDict"),
    "wrong type": ("c.num_epochs = 'many'\n  return c", "num_epochs"),
}


@pytest.mark.parametrize("mistake", BAD_CONFIGS)
def test_mistake_in_a_config_file_gets_one_line(tmp_path, mistake):
    text, expected = BAD_CONFIGS[mistake]
    line = rejected(write_config(tmp_path / "own.py", text), f"--workdir={tmp_path}/run")
    assert expected in line
    assert "own.py" in line


def test_a_config_elsewhere_is_not_replaced_by_a_shipped_one(tmp_path):
    line = rejected("--config=nowhere/vit_digits.py", f"--workdir={tmp_path}/run")
    assert "no config file nowhere/vit_digits.py" in line


@pytest.mark.slow
def test_two_processes_do_not_share_a_folder(tmp_path):
    args = (*SMALL, f"--workdir={tmp_path}", "--config.num_epochs=100000")
    first = subprocess.Popen(command(*args), env=environment(), cwd=REPO)
    while not (tmp_path / "metrics.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.02)
    line = rejected(*args)
    first.kill()
    first.wait()
    assert "another process is training in" in line


@pytest.mark.slow
def test_new_folder_below_runs(tmp_path):
    out, _ = main("--config=configs/vit_digits.py:debug", cwd=tmp_path)
    (workdir,) = (tmp_path / "runs").iterdir()
    assert workdir.name.startswith("vit_digits-")
    assert f"workdir   runs/{workdir.name}" in out


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help(word):
    out, _ = main(word)
    assert "\nWhat:\n  --config FILE[:ARG]" in out
    assert "\nWhere:\n  --workdir PATH" in out
    assert "vit_digits" in out


@pytest.mark.parametrize("module", COMMANDS.values(), ids=COMMANDS)
def test_help_shows_every_option_under_a_title_with_its_default(module):
    out, _ = main("--help", module=module.removesuffix(".__main__"))
    _, *sections = re.split(r"\n\n(What|Where|Machine|Data|Output):\n", out)
    titles, listed = sections[::2], "\n".join(sections[1::2])
    assert len(set(titles)) == len(titles)
    options = re.split(r"^  --", listed, flags=re.MULTILINE)[1:]
    assert bool(options) == (module not in ("vitjax.pretrained.__main__", "vitjax.completion"))
    for option in options:
        assert re.search(r"default:|\(required\)", option), option
        is_path = re.search(r"^\S+ (TEXT|PATH)\s+(Folder|File|CSV file|PNG|Where|Unpacked)", option)
        assert not is_path or is_path[1] == "PATH", option


MISTAKES = {
    "unknown key": ("--config.optim.lerning_rate=1", "did you mean --config.optim.learning_rate"),
    "unknown flag": ("--workdri=x", "Did you mean: workdir"),
    "stray word": ("train", "unexpected argument 'train'"),
    "wrong type": ("--config.num_epochs=many", "invalid literal for int"),
    "key without value": ("--config.num_epochs", "Missing value"),
    "unknown config": ("--config=configs/vit_digit.py", "did you mean configs/vit_digits.py"),
    "far config": ("--config=nothing_like_it", "vitjax has linformer_galaxy_zoo2, mixer_mnist"),
    "misspelt debug": ("--config=vit_digits:debgu", "did you mean debug, not 'debgu'?"),
    "unknown row": ("--config=configs/vit_cifar100.py:4p5l", "choose from 4p4l, 4p8l"),
    "recipe": ("--config=configs/vit_cifar100.py:4p5l-recipe", "; recipes: 4p4l-recipe, 4p8l-"),
    "unknown data set": ("--config.data.name=mnits", "did you mean mnist"),
    "unknown model": ("--config.model_name=vitt", "did you mean 'vit'"),
    "unknown optimiser": ("--config.optim.name=adan", "config.optim.name='adan' is unknown"),
    "patch": ("--config.model.patch_size=3", "patch_size=3 does not divide an image of 32x32"),
    "heads": ("--config.model.num_heads=3", "num_heads=3 does not divide hidden_dim=64"),
    "large batch": ("--config.data.batch_size=5000", "larger than the train split of"),
    "batch over parts": ("--config.optim.accumulation_steps=7", "batch_size=32 is not divisible"),
    "range": ("--config.model.dropout_rate=1.5", "dropout_rate=1.5 should be at least 0"),
    "augmentation": ("--config.data.augment.crop_padding=-1", "config.data.augment.crop_padding"),
    "copies": ("--config.data.augment.repeats=3", "batch_size=32 is not divisible"),
    "policy": ("--config.data.augment.policy=trivial", "autoaugment_cifar10, trivial_wide"),
    "padding": ("--config.data.augment.crop_padding=32", "should be below the image size of"),
    "missing folder": ("--config.data.name=folder --config.data.data_dir=/no", "no folder /no"),
    "weights": ("--config.loss.class_weights=(1,2)", "should be 10 numbers"),
    "no weights": ("--config.loss.class_weights=(True,False)", "or a number for each class"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_one_line_and_no_run_folder(tmp_path, mistake):
    words, expected = MISTAKES[mistake]
    _, err = main(f"--workdir={tmp_path}/run", *words.split(), code=None)
    assert expected in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_unwritable_workdir(tmp_path):
    (tmp_path / "file").write_text("")
    line = rejected(*SMALL, f"--workdir={tmp_path}/file/run")
    assert "cannot write to --workdir=" in line


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_place_that_takes_no_more_is_said_in_one_line(number, monkeypatch, tmp_path):
    def fail(folder, *rest):
        raise OSError(number, os.strerror(number), str(folder.path / "groups"))

    monkeypatch.setattr(SweepFolder, "write_parts", fail)
    words = ("--grid=seed=0,1", *SMALL, f"--workdir={tmp_path}/sweep")
    _, err = main(*words, module="vitjax.sweep", code=1)
    assert re.fullmatch(
        rf"error: cannot write .*/groups: {os.strerror(number)}; make room.*\n", err
    )


@pytest.mark.slow
def test_image_folder_and_damaged_image(tmp_path):
    random = np.random.RandomState(0)
    for label in "ab":
        (tmp_path / "set" / label).mkdir(parents=True)
        for i in range(30):
            pixels = random.randint(0, 255, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "set" / label / f"{i}.png")
    args = (
        *SMALL, "--config.data.name=folder", f"--config.data.data_dir={tmp_path}/set",
        "--config.data.image_size=8", "--config.data.valid_fraction=0.2",
    )  # fmt: skip
    out, _ = main(*args, f"--workdir={tmp_path}/run")
    assert "images of 8x8x3, 2 classes" in out
    (tmp_path / "set" / "b" / "7.png").write_bytes(b"not an image")
    line = rejected(*args, f"--workdir={tmp_path}/other")
    assert "7.png" in line
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model_name", ["mixer", "linformer"])
def test_another_model_by_name(tmp_path, model_name):
    words = [word for word in SMALL if model_name != "mixer" or "num_heads" not in word]
    out, _ = main(*words, f"--workdir={tmp_path}", f"--config.model_name={model_name}")
    assert f"model     {model_name}:" in out


def test_a_tilde_is_the_home(own_run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    main("--workdir=~/own_run", module="vitjax.evaluate")
    main(own_run, own_run, "--figure=~/new/figure.png", module="vitjax.compare")
    assert (tmp_path / "new" / "figure.png").exists()
    (tmp_path / "mine.py").write_text("from vitjax.config import default as get_config\n")
    assert vitjax.get_config("~/mine.py:mixer").model_name == "mixer"
    assert (own_run / "predictions.npz").exists()
    assert vitjax.load("~/own_run").workdir == own_run
    assert find_teacher("~/own_run").path == own_run
