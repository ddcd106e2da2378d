"""A finished run becomes the measured result of its row, and of no other."""

import dataclasses
import json

import pytest

from vitjax import config_file
from vitjax.config import flatten, to_json
from vitjax.errors import UserError
from vitjax.published import ledger, matching, recipes, recording

EVALUATION = {
    "split": "test", "accuracy": 0.91234, "train_accuracy": 0.9, "valid_accuracy": 0.905,
    "train_loss": 0.3, "valid_loss": 0.31, "loss": 0.3, "step": 50, "num_epochs_run": 5,
    "epoch": 5, "seconds": 12.34, "seed": 3, "num_params": 1994, "num_macs": 99,
    "num_examples": 100, "model_name": "vit", "data_name": "mnist",
}  # fmt: skip


@pytest.fixture
def results(tmp_path):
    """A folder that results are taken into."""
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def make_run(folder, **changes):
    """A run folder of the row vit_light mnist with seed 3, as the trainer writes it."""
    config = config_file.load_config("configs/vit_light.py:mnist")
    config.update_from_flattened_dict({"seed": 3, "data.data_dir": "anywhere"} | changes)
    facts = {"config": to_json(config), "hardware": "1 x cpu", "versions": {"jax": "0"}}
    facts["command"] = "vitjax.train(config, workdir)"
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "eval.json").write_text(json.dumps(EVALUATION))
    return str(folder)


def test_the_run_of_a_row_is_taken_in(tmp_path, results):
    (path,) = recording.record(make_run(tmp_path), results)
    assert path.name == "vit_light-mnist.json"
    (row,) = (r for r in ledger.rows(family="vit_light") if r.row == "mnist")
    measured = ledger.measured(row, results)
    assert measured["accuracies"] == {"train_acc": 90.0, "valid_acc": 90.5, "test_acc": 91.23}
    assert (measured["training_seeds"], measured["deviations"]) == ([3], {})
    assert measured["command"].endswith("--config=configs/vit_light.py:mnist --config.seed=3")


def test_rows_of_one_config_have_a_file_each(tmp_path, results):
    config = to_json(config_file.load_config("configs/mixer_mnist.py:xavier_uniform"))
    folder = make_run(tmp_path)
    facts = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(facts | {"config": config}))
    names = {path.name for path in recording.record(folder, results)}
    rows = ("xavier_uniform_", "cross_entropy-adam", "results")
    assert names == {f"mixer-{row}.json" for row in rows}


def test_a_changed_run_is_refused(tmp_path, results):
    with pytest.raises(UserError, match=r"of no row; nearest to .* num_epochs was 5, is 6"):
        recording.record(make_run(tmp_path, num_epochs=6), results)


def make_sweep(folder, command="python -m vitjax.sweep", members=()):
    """A finished sweep's folder of rows and of none, as the trainer writes it."""
    config = to_json(config_file.load_config("configs/vit_light.py:mnist"))
    plan = {"config": config, "hardware": "1 x cpu", "versions": {"jax": "0"}, "halve": []}
    plan["members"] = {}
    (folder / "plan.json").write_text(json.dumps(plan | {"command": command}))
    (folder / "sweep.json").write_text(json.dumps({"members": members}))
    return str(folder)


def member(status="finished", accuracy=0.9, **overrides):
    facts = {"overrides": overrides, "status": status, "accuracy": accuracy}
    return EVALUATION | facts | {"seed": overrides["seed"]}


def test_a_sweep_is_taken_in_with_its_command_but_for_the_places(tmp_path, results):
    command = "python -m vitjax.sweep --config=c.py --workdir here --config.data.data_dir=there"
    members = [member(seed=seed, num_epochs=1) for seed in (0, 1)]
    folder = make_sweep(tmp_path, f"{command} '--grid=seed=0,1;num_epochs=1'", members)
    (path,) = recording.record(folder, results)
    assert path.name == "sweep_vit_mnist_seed-num_epochs.json"
    (swept,) = ledger.sweeps(results)
    assert swept["command"] == "python -m vitjax.sweep --config=c.py '--grid=seed=0,1;num_epochs=1'"


def test_a_sweep_begun_in_python_keeps_its_call(tmp_path, results):
    call = "vitjax.train_grid(config, grid, workdir)"
    members = [member(seed=0, num_epochs=6)]
    recording.record(make_sweep(tmp_path, call, members), results)
    (swept,) = ledger.sweeps(results)
    assert swept["command"] == call


def test_a_sweep_over_seeds_alone_is_that_of_its_row(tmp_path, results):
    members = [member(seed=0) | {"seconds": 40.0}, member(seed=1) | {"seconds": 40.0}]
    members.append(member(seed=2))
    (path,) = recording.record(make_sweep(tmp_path, members=members), results)
    assert path.name == "vit_light-mnist.json"
    measured = ledger.measured(ledger.find("vit_light", "mnist"), results)
    assert measured["training_seconds"] == 92.3  # two that trained together, 40.0 each, 12.34
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["config"]["num_epochs"] = 6
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UserError, match=r"of no row; nearest to"):
        recording.record(str(tmp_path), results)


def test_the_run_of_a_recipe_is_taken_in_beside_its_row(tmp_path, results, monkeypatch):
    row = ledger.find("vit_light", "mnist")
    config = config_file.load_config("configs/vit_light.py:mnist")
    config.num_epochs = 60
    known = [(flatten(to_json(config)), matching.Match(row, "configs/vit_light.py:best", True))]
    monkeypatch.setattr(matching, "known_configs", lambda: known)
    (path,) = recording.record(make_run(tmp_path, num_epochs=60), results)
    assert path.name == "vit_light-best.json"
    assert ledger.measured(row, results) is None
    recipe = recipes.Recipe(row, "configs/vit_light.py:best", "longer")
    monkeypatch.setattr(recipes, "recipes", lambda: (recipe,))
    best = recipes.best(row, results)
    assert (best["accuracies"]["test_acc"], best["differs"]) == (91.23, "longer")
    assert best["recipe"] in best["command"]


def test_rows_among_a_sweeps_members_are_taken_in_with_means_over_seeds(tmp_path, results):
    members = [
        member(seed=2, accuracy=0.93),
        member(seed=0, accuracy=0.90),
        member(seed=1, accuracy=0.10, status="diverged"),
        member(seed=0, accuracy=0.99, num_epochs=9),
    ]
    _, path = recording.record(make_sweep(tmp_path, members=members), results)
    assert path.name == "vit_light-mnist.json"
    measured = ledger.measured(ledger.find("vit_light", "mnist"), results)
    assert measured["accuracies"]["test_acc"] == 91.5
    assert measured["deviations"]["test_acc"] == 2.12  # 3 / sqrt(2)
    assert measured["training_seeds"] == [0, 2]


def test_an_unfinished_run_is_refused(tmp_path, results):
    make_run(tmp_path)
    (tmp_path / "eval.json").unlink()
    with pytest.raises(UserError, match=r"is not the folder of a finished run"):
        recording.record(str(tmp_path), results)


def test_of_rows_with_one_config_the_first_with_an_accuracy_on_test_is_found(monkeypatch):
    config = to_json(config_file.load_config("configs/vit_light.py:fashion_mnist"))
    row = ledger.find("vit_light", "fashion_mnist")
    blank = dataclasses.replace(row, published=dict.fromkeys(row.published, "-"))
    again = dataclasses.replace(row, row="again")
    known = [(flatten(config), matching.Match(each, each.config)) for each in (blank, row, again)]
    monkeypatch.setattr(matching, "known_configs", lambda: known)
    assert matching.row_of(config | {"seed": 5}) == row
    monkeypatch.setattr(matching, "known_configs", lambda: known[:1])
    assert matching.row_of(config) == blank


def test_a_sweep_without_a_finished_member_is_not_taken_in(tmp_path, results):
    folder = make_sweep(tmp_path, members=[member("diverged", seed=0)])
    with pytest.raises(UserError, match=r"no member of the sweep in --record=.* has finished"):
        recording.record(folder, results)
    assert not list(results.iterdir())


def test_a_finished_member_without_its_seconds_is_damage(tmp_path, results):
    lacking = member(seed=0)
    del lacking["seconds"]
    folder = make_sweep(tmp_path, members=[lacking])
    with pytest.raises(UserError, match=r"sweep\.json is damaged \(members\[0\]\.seconds is miss"):
        recording.record(folder, results)


@pytest.mark.parametrize("text", ["<<<<<<< ours", "[]"])
def test_damaged_results_are_named(results, text):
    (results / "vit_light-mnist.json").write_text(text)
    with pytest.raises(UserError, match=r"vit_light-mnist\.json is damaged \(.*\); put it back"):
        ledger.measured(ledger.find("vit_light", "mnist"), results)
