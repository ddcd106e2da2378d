"""The Python API, as a notebook uses it."""

import importlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import vitjax
from vitjax.data import load as load_data


def quiet(text):
    del text


def small(**options):
    return vitjax.get_config("vit_digits:debug", num_epochs=2, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return vitjax.train(small(), tmp_path_factory.mktemp("api") / "run", say=quiet)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return vitjax.train(small(seed=1), tmp_path_factory.mktemp("api") / "other", say=quiet)


def test_a_config_by_its_name_with_other_options():
    config = vitjax.get_config("vit_cifar100:4p4l", **{"optim.learning_rate": 1e-3})
    assert config.data.name == "cifar100"
    assert config.model.num_layers == 4
    assert config.optim.learning_rate == 1e-3


def test_a_model_by_its_name():
    assert vitjax.get_config("vit_digits", model_name="mixer").model_name == "mixer"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit_digit", {}, r"no config file vit_digit\.py; did you mean configs/vit_digits\.py"),
        ("vit_cifar100:4p5l", {}, "4p5l"),
        ("vit_digits", {"optim.lr": 1}, r"unknown option optim\.lr"),
        ("vit_digits", {"num_epochs": "many"}, r"num_epochs='many' does not fit config\.num_ep"),
        ("vit_digits", {"learning_rate": 1}, r"did you mean optim\.learning_rate"),
    ],
)
def test_a_wrong_config_is_the_users_mistake(name, options, message):
    with pytest.raises(vitjax.UserError, match=message):
        vitjax.get_config(name, **options)


@pytest.mark.parametrize("weights", [np.ones(10), tuple(np.ones(10, np.float32))])
def test_arrays_in_a_config_are_the_users_mistake(weights, tmp_path):
    message = r"config\.loss\.class_weights=.*should be text, a number or a tuple.*tolist\(\)"
    config = vitjax.get_config("vit_digits", **{"loss.class_weights": weights})
    with pytest.raises(vitjax.UserError, match=message):
        vitjax.train(config, tmp_path / "run", say=quiet)
    grid = {"loss.class_weights": ["uniform", weights]}
    with pytest.raises(vitjax.UserError, match=message):
        vitjax.train_grid(small(), grid, tmp_path / "sweep", say=quiet)


def test_a_run_has_what_its_folder_holds(run):
    assert [epoch.epoch for epoch in run.history] == [1, 2]
    assert run.history[1].step > run.history[0].step
    assert run.history[0].valid_loss > 0
    assert run.num_params == json.loads((run.workdir / "eval.json").read_text())["num_params"]
    assert 0 <= run.accuracy <= 1
    assert run.config.num_epochs == 2
    again = vitjax.load(run.workdir)
    assert again.accuracy == run.accuracy
    assert again.history == run.history


def test_a_run_that_is_not_finished_counts_the_parameters_it_has(run, tmp_path):
    unfinished = shutil.copytree(run.workdir, tmp_path / "run")
    (unfinished / "eval.json").unlink()
    found = vitjax.load(unfinished)
    assert found.accuracy is None
    assert found.num_params == run.num_params


def test_the_model_of_a_run_computes_what_it_predicts(run):
    images = load_data("digits", image_size=32, on_status=quiet).splits["test"].images[:3]
    inputs = run.predictor.preprocess(images)
    logits = np.asarray(run.model.apply(run.variables, inputs))
    top = [row[0].class_name for row in run.predict(images, top=1)]
    assert top == [run.class_names[i] for i in logits.argmax(axis=1)]


def test_images_of_any_kind_are_predicted(run, tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (20, 30), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    found = run.predict([tmp_path / "image.png", Image.fromarray(pixels), pixels], top=2)
    assert found[0] == found[1] == found[2]
    assert [len(row) for row in found] == [2, 2, 2]
    first, second = found[0]
    assert first.probability >= second.probability
    assert run.predict([]) == []
    for one in (pixels, np.stack([pixels] * 3, -1), Image.fromarray(pixels), tmp_path / "a.png"):
        with pytest.raises(vitjax.UserError, match=r"takes a list of images.*\[image\]"):
            run.predict(one)


@pytest.mark.parametrize("content", [None, b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_the_users_mistake(content, run, tmp_path):
    if content is not None:
        (tmp_path / "image.png").write_bytes(content)
    with pytest.raises(vitjax.UserError, match=r"image\.png cannot be read as an image: "):
        run.predict([tmp_path / "image.png"])


def test_evaluation_is_typed_and_reads_as_text(run):
    found = run.evaluate(say=quiet)
    assert found.accuracy == run.accuracy
    assert found.split == "test"
    assert np.sum(found.confusion_matrix) == found.num_examples
    assert str(found).startswith(f"accuracy  {found.accuracy:.4f}")
    assert (
        run.evaluate("valid", say=quiet).accuracy
        == run.history[found.json["epoch"] - 1].valid_accuracy
    )


def test_a_report_is_a_page(run):
    report = run.report(num_maps=1, num_mistakes=1, say=quiet)
    assert report.path == run.workdir / "report" / "index.html"
    assert "&lt;!DOCTYPE html&gt;" in report._repr_html_()


@pytest.mark.slow
def test_runs_are_compared(run, other):
    found = run.compare(other, say=quiet)
    assert found.difference.accuracy == pytest.approx(other.accuracy - run.accuracy)
    assert "McNemar" in str(found)
    several = run.compare([other, other], say=quiet)
    assert several.difference.p_value is None


@pytest.mark.slow
def test_a_grid_of_lists_gives_runs_the_best_first(tmp_path):
    grid = {"optim.learning_rate": [1e-3, 1e-2], "seed": [0, 1]}
    config = small(select_by="accuracy")
    runs = vitjax.train_grid(config, grid, tmp_path / "sweep", say=quiet)
    assert len(runs) == 4
    best = [max(e.valid_accuracy for e in run.history) for run in runs]
    assert best == sorted(best, reverse=True)
    assert [run.workdir for run in runs[:2]] == [runs[0].workdir, runs[1].workdir]
    assert "learning_rate" in runs.table()
    names = {picture.name for picture in runs.pictures()}
    assert {path.stem for path in (tmp_path / "sweep").glob("*.png")} == names
    assert "<svg" in runs._repr_html_()
    again = vitjax.train_grid(config, grid, tmp_path / "sweep", say=quiet)
    assert again.ranked == runs.ranked


@pytest.mark.slow
@pytest.mark.parametrize("grid", ["seed=0,1", [{"seed": 0}, {"seed": 1}]])
def test_a_grid_is_also_text_or_a_list(grid, tmp_path):
    runs = vitjax.train_grid(small(), grid, tmp_path / "sweep", say=quiet)
    assert sorted(run.config.seed for run in runs) == [0, 1]


@pytest.mark.slow
def test_class_weights_in_a_grid_are_names_or_numbers(tmp_path):
    weights = ["uniform", (1.0,) * 9 + (2.0,)]
    config = small()
    config.select_by = "accuracy"
    runs = vitjax.train_grid(config, {"loss.class_weights": weights}, tmp_path / "s", say=quiet)
    assert {run.config.loss.class_weights for run in runs} == {*weights}


def test_a_wrong_grid_is_the_users_mistake(tmp_path):
    with pytest.raises(vitjax.UserError, match=r"unknown option optim\.lr in sweep"):
        vitjax.train_grid(small(), {"optim.lr": [1]}, tmp_path, say=quiet)


@pytest.mark.parametrize(
    ("grid", "halve", "message"),
    [
        ({"seed": 0}, (), r"the grid has seed=0, expected its values in a list"),
        ({"seed": "012"}, (), r"the grid has seed='012', expected its values in a list"),
        (["seed=0,1"], (), r"\['seed=0,1'\] is no grid; expected a dictionary of options"),
        (None, (), "None is no grid"),
        ({"seed": [0, 1]}, 2, r"halve=2 should be a list of epochs, as \[2, 4\]"),
        ({"seed": [0, 1]}, "1", r"halve='1' should be a list of epochs"),
        ({"seed": [0, 1]}, ["1"], r"halve=\['1'\] should be a list of epochs"),
    ],
)
def test_a_grid_or_epochs_of_another_kind_are_the_users_mistake(grid, halve, message, tmp_path):
    with pytest.raises(vitjax.UserError, match=message):
        vitjax.train_grid(small(), grid, tmp_path / "sweep", halve=halve, say=quiet)
    assert not (tmp_path / "sweep").exists()


def test_what_is_no_config_no_folder_or_no_other_run_is_the_users_mistake(run, tmp_path):
    with pytest.raises(vitjax.UserError, match=r"'vit_digits' is no config; vitjax\.get_config"):
        vitjax.train("vit_digits", tmp_path / "run")
    with pytest.raises(vitjax.UserError, match=r"'vit_digits' is no config"):
        vitjax.train_grid("vit_digits", {"seed": [0, 1]}, tmp_path / "sweep")
    with pytest.raises(vitjax.UserError, match="workdir=None should be the path of a folder"):
        vitjax.train(small(), None)
    with pytest.raises(vitjax.UserError, match="workdir=3 should be the path of a folder"):
        vitjax.load(3)
    with pytest.raises(vitjax.UserError, match="two runs or more are compared"):
        run.compare([])


def test_a_folder_may_be_any_path(run):
    class Place:
        def __fspath__(self):
            return str(run.workdir)

    assert vitjax.load(Place()).accuracy == run.accuracy


def test_no_run():
    with pytest.raises(vitjax.UserError, match="there is no folder nowhere; give the --workdir"):
        vitjax.load("nowhere")


@pytest.mark.parametrize("name", ["evaluate", "predict", "report", "compare", "sweep", "main"])
def test_names_of_the_api_never_become_commands(name):
    importlib.import_module(f"vitjax.{name}")
    assert name not in vitjax.__all__
    assert callable(vitjax.load)
    assert callable(vitjax.train)


def test_what_a_notebook_shows(run, other):
    shown = [run, run.history, run.evaluate(say=quiet), run.compare(other, say=quiet)]
    for each in shown:
        text = each._repr_html_()
        assert text.startswith("<")
        assert "object at 0x" not in text
