"""Learning from the answers of a finished run."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from small_runs import quiet, small

import vitjax
from vitjax.data.augment import normalise
from vitjax.errors import Diverged, UserError
from vitjax.runs.changes import differences
from vitjax.runs.run_folder import RunFolder
from vitjax.training import setup
from vitjax.training.ahead import preflight
from vitjax.training.distill import Distillation


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A finished run, normalised otherwise than its pupils are."""
    config = small(num_epochs=1, **{"data.mean": (0.3,), "data.std": (0.4,), "seed": 1})
    return vitjax.train(config, tmp_path_factory.mktemp("teacher") / "run", say=quiet)


@pytest.fixture
def other_teacher(teacher, tmp_path):
    """Returns a copy of the teacher as it would be had it been made with another config or data."""

    def make(name, change):
        folder = shutil.copytree(teacher.workdir, tmp_path / "other")
        content = json.loads((folder / name).read_text())
        change(content["config"] if name == "config.json" else content)
        (folder / name).write_text(json.dumps(content))
        for file in folder.glob("checkpoints/*/manifest.json"):
            manifest = json.loads(file.read_text())
            change(manifest["made_with"][name])
            file.write_text(json.dumps(manifest))
        return folder

    return make


def test_the_loss_by_hand():
    logits, answers = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 3.0], [4.0, 0.0]])
    losses, weights = np.array([0.5, 3.0]), np.array([1.0, 2.0])
    mixed = Distillation(lambda images: jnp.asarray(answers), 0.25, 2.0).mix(
        jnp.asarray(losses), jnp.asarray(weights), jnp.zeros((2, 1, 1, 1)), jnp.asarray(logits)
    )
    taught = -4 * np.sum(softmax(answers / 2, 1) * log_softmax(logits / 2, 1), axis=1)
    np.testing.assert_allclose(mixed, 0.75 * losses + 0.25 * weights * taught, rtol=1e-6)


@pytest.mark.slow
def test_the_teacher_sees_what_it_saw_in_its_own_run(teacher):
    config = small(**{"distill.workdir": str(teacher.workdir)})
    ready = setup.prepare(config, quiet)
    pixels = ready.dataset.splits["test"].images[:5]
    recipe = ready.recipe
    images = normalise(jnp.asarray(pixels, jnp.float32), recipe.mean, recipe.std)
    answers = recipe.distillation.teacher(images)
    expected = [[p.probability for p in each] for each in teacher.predict(list(pixels), top=1)]
    found = np.max(softmax(np.asarray(answers), axis=1), axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_pupil_trains_and_goes_on_as_any_run(teacher, tmp_path):
    options = {"distill.workdir": str(teacher.workdir), "num_epochs": 2}
    run = vitjax.train(small(**options), tmp_path / "pupil", say=quiet)
    alone = vitjax.train(small(num_epochs=2), tmp_path / "alone", say=quiet)
    assert run.history[0].train_loss != alone.history[0].train_loss
    nothing = options | {"distill.weight": 0.0}
    same = vitjax.train(small(**nothing), tmp_path / "same", say=quiet)
    assert same.history[0].train_loss == pytest.approx(alone.history[0].train_loss, rel=1e-5)


@pytest.mark.slow
def test_members_of_a_sweep_may_weigh_a_teacher_otherwise(teacher, tmp_path):
    config = small(**{"distill.workdir": str(teacher.workdir), "num_epochs": 1})
    grid = {"distill.weight": [0.0, 1.0]}
    runs = vitjax.train_grid(config, grid, tmp_path / "grid", say=quiet)
    losses = {run.history[0].train_loss for run in runs}
    assert len(losses) == 2


@pytest.mark.parametrize("name", ["", "missing", "n" * 5000])
def test_only_a_finished_run_teaches(name, tmp_path):
    with pytest.raises(UserError, match=r"distill\.workdir=.* is not the folder of a finished run"):
        vitjax.train(
            small(**{"distill.workdir": f"{tmp_path}/{name}"}), tmp_path / "run", say=quiet
        )
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_saw_another_part_of_the_images_is_told(teacher, tmp_path, capsys):
    config = small(**{"distill.workdir": str(teacher.workdir)})
    vitjax.train(config, tmp_path / "whole")
    assert "the teacher in" not in capsys.readouterr().out
    config.data.update(fit="center_crop", image_size=6, input_size=8)
    vitjax.train(config, tmp_path / "middle")
    assert (
        f"warning   the teacher in {teacher.workdir} learnt from whole images, this run sees the "
        "middle 6 pixels; --config.data.fit=resize --config.data.image_size=0 are the teacher's"
    ) in capsys.readouterr().out


def test_a_teacher_knows_the_same_classes(teacher):
    config = small(**{"distill.workdir": str(teacher.workdir)})
    ready = setup.prepare(small(), quiet)
    others = dataclasses.replace(ready.dataset, class_names=("a", "b"))
    with pytest.raises(UserError, match=r"knows 10 classes of digits, which are not the 2 of"):
        setup.make_recipe(config, others, (0.5,), (0.5,), ready.schedule)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [("weight", 1.5, "at least 0 and at most 1"), ("temperature", 0.0, "above 0")],
)
def test_ranges(option, value, expected):
    with pytest.raises(UserError, match=rf"config\.distill\.{option}={value} should be {expected}"):
        vitjax.config.check(small(**{f"distill.{option}": value}))


def test_another_run_in_its_folder_is_another_teacher(teacher, digits_run, tmp_path):
    place, pupil = tmp_path / "teacher", RunFolder(tmp_path / "pupil")
    pupil.path.mkdir()
    for run in (teacher.workdir, digits_run):
        shutil.copytree(run, place, dirs_exist_ok=run is digits_run)
        ready = setup.prepare(small(**{"distill.workdir": str(place)}), quiet)
        described = setup.dataset_json(ready)
        if run is not digits_run:
            pupil.check_dataset(described)
            shutil.rmtree(place)
            place.mkdir()
    images = jnp.zeros((2, *ready.recipe.image_shape))
    assert ready.recipe.distillation.teacher(images).shape == (2, 10)
    with pytest.raises(UserError, match=r"holds a run on other data: teacher was \"\w+\", is"):
        pupil.check_dataset(described)


def test_a_teacher_may_move_but_not_come_or_go():
    def changes(old, new):
        return differences({"distill.workdir": old}, {"distill.workdir": new})

    assert changes("runs/a", "/home/me/runs/a") == []
    assert changes("", "runs/a") == ['distill.workdir was "", is "runs/a"']
    assert changes("runs/a", "") == ['distill.workdir was "runs/a", is ""']


def test_a_sweep_is_no_teacher(tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    config = small(**{"distill.workdir": str(tmp_path)})
    (problem,) = preflight.preflight(config, jax.devices()).problems
    assert problem.endswith(f"holds a sweep; give one of its runs, as {tmp_path}/best")


def test_check_needs_no_names_of_classes(other_teacher):
    folder = other_teacher("dataset.json", lambda d: d.update(class_names=list("abcdefghij")))
    config, lines = small(**{"distill.workdir": str(folder)}), []
    assert preflight.report(config, jax.devices(), lines.append).problems == []
    assert f"teacher {folder}" in "\n".join(lines)


@pytest.mark.slow
def test_where_a_pupil_diverges_is_told_whatever_its_teacher_computes_again(
    other_teacher, tmp_path
):
    folder = other_teacher("config.json", lambda config: config["model"].update(remat=True))
    config = small(**{"distill.workdir": str(folder), "optim.name": "sgd", "num_epochs": 1})
    config.optim.learning_rate = 1e15
    with pytest.raises(Diverged, match=r"NaN or infinity at step \d+ \(epoch 1\), in the output"):
        vitjax.train(config, tmp_path / "pupil", say=quiet)
