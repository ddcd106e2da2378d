"""README's commands and code, as they stand."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import REPO
from PIL import Image

README = (REPO / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    """Every command line of README, continuation lines joined, without its pip install."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("&& ")[-1] for line in lines if line.strip()]


def command(name, index=0):
    """The command line of a module of vitjax; of several, the one at `index`."""
    return [line for line in commands() if line.startswith(f"python -m vitjax.{name}")][index]


def shell(line, cwd):
    env = os.environ | {
        "PYTHONPATH": str(REPO),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    done = subprocess.run(line, shell=True, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def in_checkout(tmp_path):
    """A folder that looks like the checkout, so that runs/ is made elsewhere."""
    for name in ("configs", "vitjax"):
        (tmp_path / name).symlink_to(REPO / name)
    return tmp_path


def test_commands_are_those_below():
    heads = [line.split()[:3][-1].removeprefix("vitjax.") for line in commands()]
    using = ["pretrained", "pretrained.export", "evaluate", "predict", "compare", "report"]
    assert heads == ["main", "pytest", "main", "sweep", *using, "published", "benchmark", "main"]


def test_install_commands_name_this_package_and_its_extras():
    extras = re.findall(r"pip install '?\.\[?(\w*)", README)
    pyproject = (REPO / "pyproject.toml").read_text()
    for extra in filter(None, extras):
        assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), extra


@pytest.mark.slow
def test_main_job_reaches_the_promised_accuracy(tmp_path):
    shell(command("main"), in_checkout(tmp_path))
    (result,) = (tmp_path / "runs").glob("*/eval.json")
    assert json.loads(result.read_text())["accuracy"] >= 0.97


def test_run_with_a_workdir_and_what_is_done_with_it(tmp_path):
    out = shell(command("main", 1), in_checkout(tmp_path))
    assert "epoch 20/20" in out
    assert (tmp_path / "runs" / "digits" / "eval.json").exists()
    runs = tmp_path / "runs"
    assert "macro_mean" in shell(command("evaluate"), tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
    said = shell(command("predict").replace("IMAGE", "image.png"), tmp_path)
    assert said.startswith("image.png  ")
    assert said.count("%") == 3
    shutil.copytree(runs / "digits", runs / "other")
    assert "McNemar" in shell(command("compare"), tmp_path)
    assert (tmp_path / "comparison.png").exists()
    shell(command("report"), tmp_path)
    assert (tmp_path / "runs" / "digits" / "report" / "index.html").exists()
    shell(command("pretrained.export"), tmp_path)
    assert (tmp_path / "digits.safetensors").exists()


def test_sweep(tmp_path):
    out = shell(command("sweep"), in_checkout(tmp_path))
    assert "ranked by loss on validation" in out
    assert (tmp_path / "runs/rates/best/eval.json").exists()
    assert "sweep.csv, curves.png and seeds.png lie in runs/rates" in out
    pictures = (tmp_path / "runs/rates").glob("*.png")
    assert {path.name for path in pictures} == {"curves.png", "seeds.png"}


def test_the_catalogue(tmp_path):
    assert "timm/resnet18.tv_in1k" in shell(command("pretrained"), tmp_path)


@pytest.mark.slow
def test_the_benchmark(tmp_path):
    assert "vit_light: 1,994 parameters" in shell(command("benchmark"), tmp_path)


def test_one_published_row(tmp_path):
    assert "4,719,368" in shell(command("published"), in_checkout(tmp_path))


def test_own_data(tmp_path):
    random = np.random.RandomState(0)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(100):
            pixels = random.randint(0, 255, (40, 30 + i % 7, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.jpg")
    line = command("main", 2).replace("DIR", "images") + " --config.num_epochs=2"
    assert "images of 32x32x3, 2 classes" in shell(line, in_checkout(tmp_path))


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code):
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["logits"].shape == (8, 10)


def test_table_of_configs_is_complete():
    named = set(re.findall(r"`configs/(\w+)\.py`", README))
    assert named == {path.stem for path in (REPO / "configs").glob("*.py")}
