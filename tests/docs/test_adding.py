"""The pages on adding things: their files and lines, put into a copy of vitjax that trains."""

import re
import shutil
import subprocess
import sys

import pytest
from commands import REPO, environment

PAGES = {  # page: the file of the line
    "adding_a_data_set": "vitjax/data/source.py",
    "adding_an_augmentation": "vitjax/data/augment/augmentation.py",
    "adding_a_loss": "vitjax/training/losses.py",
}
TRAIN = """
import sys, vitjax
small = {"data.max_examples": 64, "data.batch_size": 32, "num_epochs": 1}
for name in sys.argv[1:]:
    run = vitjax.train(vitjax.get_config(f"own/{name}.py", **small), f"runs/{name}")
    print(f"{name} has done {run.history[-1].step} steps")
"""


def add(page, place):
    """Does in a copy of the repository what a page says."""
    text = (REPO / f"vitjax/docs/{page}.md").read_text()
    (file,) = re.findall(r"`(vitjax/[\w/]+\.py)`:\n", text)
    code, test, config = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for name, content in ((file, code), (f"test_{page}.py", test), (f"own/{page}.py", config)):
        assert not (place / name).exists()
        (place / name).write_text(content)
    changed = place / PAGES[page]
    for diff in re.findall(r"```diff\n(.*?)```", text, re.DOTALL):
        old, new = (
            "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] != other)
            for other in "+-"
        )
        assert changed.read_text().count(old) == 1, old
        changed.write_text(changed.read_text().replace(old, new))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of vitjax with all that the pages add."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(REPO / "vitjax", folder / "vitjax", ignore=shutil.ignore_patterns("results"))
    (folder / "own").mkdir()
    for page in PAGES:
        add(page, folder)
    return folder


def call(place, *words):
    env = environment(PYTHONPATH=str(place))
    done = subprocess.run(
        [sys.executable, *words], cwd=place, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_each_trains_two_steps(place):
    out = call(place, "-c", TRAIN, *PAGES)
    for page in PAGES:
        assert f"{page} has done 2 steps" in out


@pytest.mark.slow
def test_their_own_tests_pass(place):
    out = call(place, "-m", "pytest", "-q", "-p", "no:cacheprovider", *place.glob("test_*.py"))
    assert "3 passed" in out


def test_they_are_in_the_style_of_the_rest(place):
    call(place, "-m", "ruff", "check", "--config", REPO / "pyproject.toml", "vitjax")
    call(place, "-m", "ruff", "format", "--check", "--config", REPO / "pyproject.toml", "vitjax")
