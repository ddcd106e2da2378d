"""README and the other pages: their commands, code, links, options and numbers, as they stand."""

import functools
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from commands import REPO, main
from PIL import Image

from vitjax import config_file, models
from vitjax.benchmarking import speed_tables
from vitjax.config import default, flatten
from vitjax.published.__main__ import run as published

DOCS = sorted((REPO / "vitjax/docs").glob("*.md"))
GENERATED = [REPO / "vitjax/published/README.md", REPO / "vitjax/benchmarking/README.md"]
PAGES = [REPO / "README.md", *DOCS, *GENERATED]
TEXTS = {path.relative_to(REPO).as_posix(): path.read_text() for path in PAGES}
HEADLINES = ["pip install . && python -m vitjax.main", "pip install '.[test]' && pytest -n auto"]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.DOTALL)


def commands_of(page):
    """Every command line of a page, continuation lines joined."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


COMMANDS = list(dict.fromkeys(line for page in TEXTS for line in commands_of(page)))
MODULE_COMMANDS = [line for line in COMMANDS if line.startswith("python -m vitjax")]
GALAXIES = "vitjax/docs/galaxy_zoo2.md"
TUTORIAL = "vitjax/docs/tutorial.md"  # whose blocks build on one another
RUN = {  # part of a command line: what it says; the others need data, weights or long
    "main --config=configs/vit_digits.py --workdir=runs/digits": "epoch 1/1",
    "check --config=configs/vit_digits.py": "no problem found",
    "check --data --config.data.name=folder": "no errors, no warnings",
    "evaluate --workdir=runs/digits": "macro_mean",
    "evaluate --workdir=runs/digits --split=valid": "macro_mean",
    "evaluate --workdir=runs/digits --corruptions": "mean accuracy on corrupted images",
    "predict --workdir=runs/digits digit.png": "digit.png  ",
    "predict --workdir=runs/digits --top=3 IMAGE": "digit.png  ",
    "compare runs/digits runs/other --figure=comparison.png": "McNemar",
    "report --workdir=runs/digits": "index.html",
    "runs": "runs/digits",
    "completion bash": "complete -o nospace -F _vitjax vitjax",
    "pretrained": "timm/resnet18.tv_in1k",
    "export --workdir=runs/digits --format=safetensors": "digits.safetensors: read again",
    "sweep --config=configs/vit_digits.py:debug": "ranked by loss on validation",
    "published --seed=003 --row=110421": "4,719,368",
    "main --workdir=runs/mine --config.data.name=folder": "images of 32x32x3, 2 classes",
    "main --workdir=runs/streamed --config.data.name=folder": "pixels streamed to the devices",
}


def words_of(line):
    """The module of a command line, and the words behind it."""
    module, *words = shlex.split(line.partition(" > ")[0].removeprefix("python -m "))
    return module, words


@functools.cache
def options(module):
    """The names of the options of a command, by its --help."""
    out, _ = main("--help", module=module)
    return set(re.findall(r"^  --([\w.]+)", out, re.MULTILINE))


@pytest.fixture(scope="module")
def place(tmp_path_factory, digits_run):
    """A folder with images and two finished runs, which the commands are called in."""
    folder = tmp_path_factory.mktemp("place")
    random = np.random.RandomState(0)
    for label in ("cat", "dog"):
        (folder / "images" / label).mkdir(parents=True)
        for i in range(40):
            pixels = random.randint(0, 255, (40, 30 + i % 7, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / label / f"{i}.jpg")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "digit.png")
    shutil.copytree(digits_run, folder / "runs" / "digits")
    shutil.copytree(digits_run, folder / "runs" / "other")
    return folder


@pytest.mark.parametrize(
    "start",
    [pytest.param(s, marks=[pytest.mark.slow] if s.startswith("sweep") else []) for s in RUN],
)
def test_commands_run(start, place):
    line = next(
        line for line in MODULE_COMMANDS if f"{line} ".startswith(f"python -m vitjax.{start} ")
    )
    module, words = words_of(line.replace("IMAGE", "digit.png").replace("DIR", "images"))
    if module == "vitjax.main":  # long enough to be shown, too long to be tested
        words += ["--config=configs/vit_digits.py:debug", "--config.num_epochs=1"]
        words = [word.replace("runs/digits", "runs/trained") for word in words]
    out, _ = main(*words, module=module, cwd=place)
    assert RUN[start] in out


@pytest.mark.parametrize("line", MODULE_COMMANDS)
def test_options_of_commands_exist(line):
    module, words = words_of(line)
    config_name = next((w.partition("=")[2] for w in words if w.startswith("--config=")), None)
    config = config_file.load_config(config_name) if config_name else default()
    known = options(module) | {f"config.{key}" for key in flatten(config)} | {"config"}
    given = {word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")}
    assert given <= known


def test_commands_are_all_run_or_parsed():
    others = set(COMMANDS) - set(MODULE_COMMANDS)
    assert others == {*HEADLINES, commands_of(GALAXIES)[0]}


@pytest.mark.slow
def test_commands_on_galaxies_run_one_after_another(tmp_path):
    """With 60 galaxies that are drawn, a smaller network and two epochs."""
    draw, *lines = commands_of(GALAXIES)
    script, folder, _ = draw.removeprefix("python ").split()
    runpy.run_path(f"{REPO}/{script}")["write"](tmp_path / folder, 60)
    small = "data.image_size=32 data.input_size=16 model.patch_size=8 model.hidden_dim=32"
    said = []
    for module, words in map(words_of, lines):
        words = [f"{w},debug" if w.startswith("--config=") else w for w in words]
        if module == "vitjax.main":
            words += [f"--config.{word}" for word in f"{small} num_epochs=2".split()]
        elif module == "vitjax.compare":
            shutil.copytree(tmp_path / "runs/galaxy", tmp_path / "runs/other")
        said.append(main(*words, module=module, cwd=tmp_path)[0])
    assert [module for module, _ in map(words_of, lines)] == [
        *("vitjax.main", "vitjax.check", "vitjax.main", "vitjax.main", "vitjax.compare")
    ]
    drawn, check, galaxy, shapes, compare = said
    assert "galaxy_zoo2: 60 images in galaxies/images" in drawn
    assert "38 train, 10 valid, 12 test images" in check
    assert "no problem found" in check
    assert "preparing" not in galaxy
    assert "test " in galaxy
    assert "4 classes" in shapes
    assert "label2" in compare


@pytest.mark.slow
def test_the_tutorial_runs_from_its_first_command_to_its_last(tmp_path, monkeypatch):
    """In its debug form; Python in the folder where the commands have been."""
    monkeypatch.chdir(tmp_path)
    names, said = {}, []
    for language, block in re.findall(r"```(\w+)\n(.*?)```", TEXTS[TUTORIAL], re.DOTALL):
        if language == "python":
            exec(compile(block, TUTORIAL, "exec"), names)
            continue
        module, words = words_of(block.replace("\\\n", " "))
        words = [f"{w}:debug" if w.startswith("--config=") else w for w in words]
        words = [w.replace("num_epochs=20", "num_epochs=2") for w in words]
        words = [w.replace("num_layers=2", "num_layers=1") for w in words]
        said.append(main(*words, module=module, cwd=tmp_path)[0])
    check, _, shallow, compared, sweep, runs, predicted, _ = said
    assert "no problem found" in check
    assert "epoch 2/2" in shallow
    assert "McNemar" in compared
    assert "learning_rate=0.004" in sweep
    assert {line.split()[0] for line in runs.splitlines()} >= {
        *("runs/digits", "runs/shallow", "runs/rates", "runs/rates/runs/learning_rate=0.001"),
    }
    assert len(names["found"]) == 3
    assert predicted.startswith("digit.png  ")
    assert (tmp_path / "runs/digits/report/index.html").exists()


@pytest.mark.slow
def test_the_headline_commands_of_the_main_job_and_of_the_tests(tmp_path):
    for name in ("configs", "vitjax", "tests", "pyproject.toml"):
        (tmp_path / name).symlink_to(REPO / name)
    _shell(HEADLINES[0].partition("&& ")[2], tmp_path)
    (result,) = (tmp_path / "runs").glob("*/eval.json")
    assert json.loads(result.read_text())["accuracy"] >= 0.985
    _shell(HEADLINES[1].partition("&& ")[2] + " tests/data/test_order.py", tmp_path)


def _shell(line, cwd):
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    env = os.environ | {"PYTHONPATH": str(REPO), "PATH": path}
    done = subprocess.run(line, shell=True, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_benchmarks_command():
    (line,) = (line for line in commands_of("vitjax/benchmarking/README.md"))
    module, words = words_of(line)
    assert "vit_light: 1,994 parameters" in main(*words, module=module)[0]


LONG = ("README.md", "vitjax/docs/export.md", "vitjax/docs/python.md")  # they train
OPTIONAL = ("timm", "torch")
# What is added on three pages is run by tests/docs/test_adding.py, the tutorial above.
SCRIPTS = [
    page
    for page in TEXTS
    if blocks(page, "python")
    and not re.search(r"adding_an?_(data_set|augmentation|loss)|tutorial", page)
]


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[pytest.mark.slow] if p in LONG else []) for p in SCRIPTS]
)
def test_python_runs(page, tmp_path, monkeypatch):
    """The blocks of a page one after another, with fewer epochs on fewer images."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("digit.png")
    names: dict = {}
    for block in blocks(page, "python"):
        if any(find_spec(name) is None for name in OPTIONAL if f"import {name}" in block):
            continue  # one of the libraries that a page only leads to
        code = block.replace('"vit_digits"', '"vit_digits:debug"').replace(
            "num_epochs=20", "num_epochs=2"
        )
        exec(compile(code, page, "exec"), names)
    if "runs" in names:
        assert len(names["runs"]) == 4
        assert (names["runs"][0].workdir / "report/index.html").exists() == (page == "README.md")
    if "logits" in names:
        assert names["logits"].shape == (8, 10)


def headings(text):
    """The names by which GitHub links to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            path = (REPO / page).parent / file if file else REPO / page
            assert path.exists(), target
            assert not heading or heading in headings(path.read_text()), target


def test_every_page_is_linked_from_readme():
    for page in list(TEXTS)[1:]:
        assert f"({page})" in TEXTS["README.md"], page


@pytest.mark.parametrize("page", TEXTS)
def test_options_of_configs_and_their_files_exist(page):
    every = [models.defaults(name) for name in models.MODELS]
    known = set(flatten(default())) | {f"model.{key}" for options in every for key in options}
    groups = {key.rpartition(".")[0] for key in known} | {"KEY", "model_name"}
    for key in re.findall(r"--config\.([\w.]+\w)", TEXTS[page]):
        assert key in known | groups, key
    for name in re.findall(r"configs/(\w+)\.py", TEXTS[page]):
        assert name == "NAME" or (REPO / "configs" / f"{name}.py").exists(), name


@pytest.mark.parametrize("page", TEXTS)
def test_options_named_in_the_text_exist(page):
    modules = ["main", "sweep", "evaluate", "predict", "report", "compare", "published"]
    modules += ["pretrained", "export", "benchmark", "check", "demo", "runs", "completion"]
    known = {"help"}.union(*(options(f"vitjax.{name}") for name in modules))
    for name in re.findall(r"`[^`\n]*?--([a-z_]+)\b(?!\.)", TEXTS[page]):
        assert name in known, name


def test_install_commands_name_this_package_and_its_extras():
    pyproject = (REPO / "pyproject.toml").read_text()
    for page, text in TEXTS.items():
        extras = re.findall(r"pip install '?\.\[?(\w*)|\(extra `\[(\w+)\]`\)|'\.\[(\w+)\]'", text)
        for extra in filter(None, (name for names in extras for name in names)):
            assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), (page, extra)


def test_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 150


def test_table_of_configs_is_complete():
    named = set(re.findall(r"`configs/(\w+)\.py`", TEXTS["vitjax/docs/training.md"]))
    assert named == {path.stem for path in (REPO / "configs").glob("*.py")}


def test_table_of_models_is_complete():
    table = TEXTS["vitjax/docs/training.md"].partition("## Models")[2]
    for name in models.MODELS:
        assert f"`{name}`" in table, name


@pytest.mark.slow
def test_results_of_readme_are_the_recorded_ones(capsys):
    assert published(["--results"]) == 0
    assert capsys.readouterr().out in TEXTS["README.md"]


def test_counts_and_ratios_of_readme_are_the_tables():
    text, page = TEXTS["README.md"], TEXTS["vitjax/published/README.md"]
    statuses = "136 rows: 82 agrees, 17 agrees (corrected), 36 no published count, 1 not built."
    assert statuses in page
    assert "Of their 136 printed models 135 are built, and each of the 99 printed" in text
    (seeds, sweep) = (
        json.loads((speed_tables.RESULTS / f"{name}_cpu.json").read_text())
        for name in ("seeds", "sweep")
    )
    ratios = [r["peers"]["eager"]["epoch_ratio"] for r in seeds["results"].values()]
    assert len(ratios) == 7
    assert f"{min(ratios):.2f} to {max(ratios):.2f} times as long as vitjax" in text
    assert f"members of a sweep train {sweep['points'][0]['times_faster']:.2f} times" in text


def test_the_picture_is_small_and_made_by_its_script(tmp_path):
    script = shutil.copy(REPO / "vitjax/docs/draw_model.py", tmp_path)
    runpy.run_path(script, run_name="__main__")
    drawn = (tmp_path / "model.svg").read_bytes()
    assert drawn == (REPO / "vitjax/docs/model.svg").read_bytes()
    assert len(drawn) < 60_000
