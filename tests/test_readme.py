"""README's commands and code, as they stand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import REPO

README = (REPO / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    """Every command line of README, continuation lines joined, without its pip install."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("&& ")[-1] for line in lines if line.strip()]


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
    heads = [" ".join(line.split()[:3]) for line in commands()]
    train, list_rows = "python -m vitjax.main", "python -m vitjax.published"
    sweep = "python -m vitjax.sweep"
    assert heads == [train, "pytest", train, sweep, list_rows, train]


def test_install_commands_name_this_package_and_its_extras():
    extras = re.findall(r"pip install '?\.\[?(\w*)", README)
    pyproject = (REPO / "pyproject.toml").read_text()
    for extra in filter(None, extras):
        assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), extra


@pytest.mark.slow
def test_main_job_reaches_the_promised_accuracy(tmp_path):
    shell(commands()[0], in_checkout(tmp_path))
    (result,) = (tmp_path / "runs").glob("*/eval.json")
    assert json.loads(result.read_text())["accuracy"] >= 0.97


def test_run_with_a_workdir(tmp_path):
    out = shell(commands()[2], in_checkout(tmp_path))
    assert "epoch 20/20" in out
    assert (tmp_path / "runs" / "digits" / "eval.json").exists()


def test_sweep(tmp_path):
    out = shell(commands()[3], in_checkout(tmp_path))
    assert "ranked by loss on validation" in out
    assert (tmp_path / "runs/rates/best/eval.json").exists()


def test_one_published_row(tmp_path):
    assert "4,719,368" in shell(commands()[4], in_checkout(tmp_path))


def test_published_section_is_the_commands_output(tmp_path):
    begin, end = "<!-- begin: python -m vitjax.published --markdown -->\n", "<!-- end -->"
    section = README.partition(begin)[2].partition(end)[0]
    assert section.strip() == shell("python -m vitjax.published --markdown", tmp_path).strip()


def test_own_data(tmp_path):
    random = np.random.RandomState(0)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(100):
            pixels = random.randint(0, 255, (40, 30 + i % 7, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.jpg")
    line = commands()[5].replace("DIR", "images") + " --config.num_epochs=2"
    assert "images of 32x32x3, 2 classes" in shell(line, in_checkout(tmp_path))


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code):
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["logits"].shape == (8, 10)


def test_table_of_configs_is_complete():
    named = set(re.findall(r"`configs/(\w+)\.py`", README))
    assert named == {path.stem for path in (REPO / "configs").glob("*.py")}
