"""What is installed: all commands under one name, and all files that the package reads."""

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from commands import PACKAGES, REPO, environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_imports import COMMANDS

import vitjax
from vitjax import __main__ as command


def call(*words):
    done = subprocess.run(
        [sys.executable, "-m", "vitjax", *words], capture_output=True, text=True, env=environment()
    )
    return done.returncode, done.stdout, done.stderr


def test_every_command_is_listed_with_a_line():
    modules = {name.removesuffix(".__main__") for name in command.COMMANDS.values()}
    assert modules == {f"vitjax.{name}" for name in COMMANDS} | {*PACKAGES}
    lines = command.overview().split("\n\n")[1].splitlines()
    assert all(line.endswith(".") and len(line) < 120 for line in lines)


def test_a_command_gets_its_words_and_its_exit_code_is_given_back():
    code, _, error = call("predict", "--workdir=nowhere", "image.png")
    assert code == 1
    assert error == "error: there is no folder nowhere; give the --workdir of a run\n"


def test_no_command_and_an_unknown_one():
    assert call()[:2] == (0, command.overview() + "\n")
    code, _, error = call("trian")
    assert code == 2
    assert error.startswith("error: there is no command 'trian'; choose from train, check, ")


def test_a_release_is_what_was_built_and_tried():
    """A tag builds by .ci/build, and only the job that publishes can ask for PyPI's token."""
    workflow = yaml.safe_load((REPO / ".github/workflows/release.yml").read_text())
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML's on
    assert workflow["permissions"] == {}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    commands = [step["run"] for step in build["steps"] if "run" in step]
    assert commands == ['.ci/build dist "${GITHUB_REF_NAME#v}"']
    assert os.access(REPO / ".ci/build", os.X_OK)
    assert build["permissions"] == {"contents": "read"}
    assert publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        *("actions/download-artifact", "pypa/gh-action-pypi-publish"),
    ]
    assert publish["steps"][1]["with"] == {"attestations": True}


@pytest.mark.slow
def test_a_release_has_all_and_runs_where_no_checkout_is(tmp_path):
    done = subprocess.run(
        [REPO / ".ci/build", tmp_path / "dist", vitjax.__version__],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no problem found" in done.stdout
    (wheel,) = (tmp_path / "dist").glob(f"vitjax-{vitjax.__version__}-*.whl")
    (source,) = (tmp_path / "dist").glob(f"vitjax-{vitjax.__version__}.tar.gz")
    place = tmp_path / "installed"  # what pip does with a wheel
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place)
    names = {path.relative_to(place).as_posix() for path in place.rglob("*")}
    tracked = [path.relative_to(REPO) for path in (REPO / "vitjax").rglob("*") if path.is_file()]
    ours = {path.as_posix() for path in tracked if "__pycache__" not in path.parts}
    assert ours <= names
    assert {f"vitjax/configs/{path.name}" for path in (REPO / "configs").glob("*.py")} <= names
    with tarfile.open(source) as file:
        assert any(name.endswith("/tests/test_packaging.py") for name in file.getnames())
    (scripts,) = place.glob("*.dist-info/entry_points.txt")
    assert "vitjax = vitjax.__main__:main" in scripts.read_text()


def test_the_list_may_be_cut_short():
    """As by `| head -1`, which goes when it has read a line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vitjax"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=REPO,
    )
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


def test_ci_installs_versions_that_the_package_allows():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    asked = map(Requirement, project["dependencies"] + project["optional-dependencies"]["test"])
    locked: dict[str, list[Requirement]] = {}
    for line in (REPO / ".ci/constraints.txt").read_text().splitlines():
        pin = Requirement(line)
        locked.setdefault(canonicalize_name(pin.name), []).append(pin)
    for requirement in asked:
        for pin in locked[canonicalize_name(requirement.name)]:
            (version,) = pin.specifier
            assert requirement.specifier.contains(version.version), (str(requirement), str(pin))
