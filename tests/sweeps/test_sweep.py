"""Sweeps: members equal their own runs, ends of every kind, resuming, wrong inputs."""

import gc
import importlib
import json
import os
import re
import weakref

import jax
import numpy as np
import pytest
from commands import (
    newest_params,
    results,
    scalars,
)
from small_runs import quiet, small

from vitjax.errors import UserError
from vitjax.sweeps.grid import train_grid
from vitjax.sweeps.group import Group
from vitjax.sweeps.member_parallel import MemberParallel
from vitjax.sweeps.plan import groups, members, parse_grid
from vitjax.sweeps.ranking import as_csv, over_seeds, table
from vitjax.training import setup
from vitjax.training.placement.sharding import member_mesh
from vitjax.training.run import train_and_evaluate


def sweep(config, overrides, workdir, **options):
    return train_grid(config, overrides, workdir, **{"say": quiet} | options)


def by_name(ranked):
    return {entry["name"]: entry for entry in ranked}


@pytest.mark.parametrize(
    ("optimizer", "overrides"),
    [
        pytest.param(
            "adam",
            {"optim.learning_rate": 3e-3, "model.dropout_rate": 0.2, "seed": 1},
            marks=pytest.mark.slow,
        ),
        ("sgd", {"optim.learning_rate": 0.05, "loss.label_smoothing": 0.1, "seed": 2}),
    ],
)
def test_members_equal_their_own_runs(optimizer, overrides, tmp_path):
    config = small(**{"optim.name": optimizer, "loss.label_smoothing": 0.05})
    if optimizer == "adam":
        # The biases of keys change nothing, so their gradients are rounding errors, which Adam
        # scales up to whole steps; a larger eps leaves them small.
        config.optim.eps = 1e-4
    ranked = sweep(config, [{}, overrides], tmp_path / "sweep")
    for entry in ranked:
        own = tmp_path / "own" / entry["name"]
        alone = config.copy_and_resolve_references()
        alone.update_from_flattened_dict(entry["overrides"])
        result = train_and_evaluate(alone, own, quiet)
        folder = tmp_path / "sweep" / "runs" / entry["name"]
        for line, expected in zip(results(folder), results(own), strict=True):
            assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
            newest_params(folder),
            newest_params(own),
        )
        assert entry["accuracy"] == result["accuracy"]


@pytest.mark.parametrize("skip", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_members_trained_at_once_equal_their_own_runs(skip, tmp_path):
    """As accelerators train the members of a device: by vmap, with masks instead of branches."""
    config = small(**{"optim.name": "sgd", "optim.skip_nonfinite": skip})
    grid = [{"optim.learning_rate": 0.05, "seed": 1}, {"optim.learning_rate": 1e30}]
    said = []
    ranked = sweep(config, grid, tmp_path / "sweep", vectorize=True, say=said.append)
    assert [entry["status"] for entry in ranked] == ["finished", "diverged"]
    (line,) = (line for line in said if line.startswith("diverged"))
    assert re.match(r"diverged  .*1e\+30.*: NaN or infinity at step \d \(epoch 1\), in ", line)
    alone = config.copy_and_resolve_references()
    alone.update_from_flattened_dict(grid[0])
    result = train_and_evaluate(alone, tmp_path / "own", quiet)
    folder = tmp_path / "sweep" / "runs" / ranked[0]["name"]
    for line, expected in zip(results(folder), results(tmp_path / "own"), strict=True):
        assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert ranked[0]["accuracy"] == result["accuracy"]


@pytest.mark.slow
def test_members_are_logged_as_runs_are(tmp_path):
    pytest.importorskip("tensorboardX")
    config = small(**{"log.tensorboard": True, "num_epochs": 1})
    for entry in sweep(config, [{"seed": 0}, {"seed": 1}], tmp_path):
        folder = tmp_path / "runs" / entry["name"]
        logged = scalars(folder)
        written = results(folder)[0]
        assert (4, "valid_loss", pytest.approx(written["valid_loss"])) in logged
        assert (4, "test_accuracy", pytest.approx(entry["accuracy"])) in logged


def test_a_log_that_is_not_installed_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"member default: config\.log\.wandb needs wandb"):
        sweep(small(**{"log.wandb": True}), [{"seed": 0}], tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_where_no_link_can_be_made_a_file_names_the_best(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(95, "Operation not supported")

    (tmp_path / "best").symlink_to("runs/another")  # of a folder that was moved here
    monkeypatch.setattr(os, "symlink", refuse)
    ranked = sweep(small(num_epochs=1), [{"seed": 0}, {"seed": 1}], tmp_path)
    assert not (tmp_path / "best").is_symlink()
    assert (tmp_path / "best.txt").read_text() == f"runs/{ranked[0]['name']}\n"


@pytest.mark.slow
def test_a_finished_sweep_leaves_no_data_behind(tmp_path, monkeypatch):
    read, alive = setup.load, []

    def watched(config, say):
        dataset = read(config, say)
        alive.append(weakref.ref(dataset))
        return dataset

    monkeypatch.setattr(setup, "load", watched)
    sweep(small(num_epochs=1), [{"seed": 0}], tmp_path)
    gc.collect()
    assert [each() for each in alive] == [None]


@pytest.mark.slow
def test_diverged_member_is_frozen_and_the_others_are_as_without_it(tmp_path):
    said = []
    config = small(**{"optim.name": "sgd"})
    healthy = {"optim.learning_rate": 1e-2}
    bad = {"optim.learning_rate": 1e30}
    ends = by_name(sweep(config, [healthy, bad], tmp_path / "both", say=said.append))
    sweep(config, [healthy, {"optim.learning_rate": 2e-2}], tmp_path / "fine")
    assert ends["learning_rate=1e+30"]["status"] == "diverged"
    assert any(line.startswith("diverged  learning_rate=1e+30") for line in said)
    name = "learning_rate=0.01"
    assert results(tmp_path / "both/runs" / name) == results(tmp_path / "fine/runs" / name)
    assert (tmp_path / "both/best").resolve().name == name


def test_a_member_whose_loss_on_test_is_infinite_has_diverged(tmp_path, monkeypatch):
    measured = MemberParallel.test

    def infinite(self):
        metrics = measured(self)
        return metrics.replace(loss=np.where(np.arange(2) == 1, np.inf, metrics.loss))

    monkeypatch.setattr(MemberParallel, "test", infinite)
    grid = [{"seed": 0}, {"seed": 1}]
    ranked = by_name(sweep(small(num_epochs=1), grid, tmp_path))
    assert {name: end["status"] for name, end in ranked.items()} == {
        "seed=0": "finished",
        "seed=1": "diverged",
    }
    assert not (tmp_path / "runs/seed=1/eval.json").exists()
    assert by_name(sweep(small(num_epochs=1), grid, tmp_path)) == ranked  # as it was


@pytest.mark.slow
def test_halving_drops_the_worse_half_and_says_so(tmp_path):
    said = []
    grid = [{"optim.learning_rate": rate} for rate in (1e-2, 1e-6, 3e-3, 1e-7)]
    config = small(select_by="loss")
    ranked = sweep(config, grid, tmp_path, halve=[1], say=said.append)
    assert [entry["status"] for entry in ranked] == ["finished"] * 2 + ["dropped"] * 2
    first = {e["name"]: results(tmp_path / "runs" / e["name"])[0]["valid_loss"] for e in ranked}
    order = sorted(first, key=first.__getitem__)
    assert {entry["name"] for entry in ranked[:2]} == set(order[:2])
    (line,) = (line for line in said if line.startswith("halving"))
    assert all(name in line for name in order[2:])
    assert [len(results(tmp_path / "runs" / name)) for name in order] == [3, 3, 1, 1]


@pytest.mark.slow
def test_what_memory_does_not_hold_together_trains_one_after_another(tmp_path):
    said, config = [], small(num_epochs=1)
    grid = [{"seed": seed} for seed in range(3)]
    two, dataset = members(config, grid[:2]), setup.load(config, quiet)
    limit = Group(two, dataset, member_mesh()).predicted_bytes
    sweep(config, grid, tmp_path / "split", max_bytes=limit, say=said.append)
    sweep(config, grid, tmp_path / "whole")
    assert "group 1 is split in 2 for memory" in said
    for folder in (tmp_path / "whole/runs").iterdir():
        for line, expected in zip(
            results(tmp_path / "split/runs" / folder.name), results(folder), strict=True
        ):
            assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_member_that_memory_does_not_hold_is_refused(tmp_path):
    message = r"member default needs .* GiB of a device, of which 9\.54e-07 are to be had; lower"
    with pytest.raises(UserError, match=message):
        sweep(small(), [{"seed": 0}], tmp_path, max_bytes=1024)


@pytest.mark.slow
def test_folders_hold_the_commands_that_made_them(tmp_path):
    words = ["--config", "configs/vit_digits.py", "--noconfig.bar", "--config.num_epochs=1"]
    (found,) = sweep(small(num_epochs=1), [{"seed": 2}], tmp_path, words=[*words, "--halve=1"])
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["command"] == f"python -m vitjax.sweep {' '.join(words)} --halve=1"
    own = json.loads((tmp_path / "runs" / found["name"] / "config.json").read_text())
    assert own["command"] == f"python -m vitjax.main {' '.join(words)} --config.seed=2"


def test_groups_hold_what_differs_in_values_alone():
    grid = parse_grid("optim.learning_rate=1e-3,1e-2;data.batch_size=16,32;seed=0,1", small())
    found = groups(members(small(), grid))
    assert [len(group) for group in found] == [4, 4]
    assert [{m.config.data.batch_size for m in group} for group in found] == [{16}, {32}]


def test_a_value_that_is_off_is_other_code():
    grid = [{"model.dropout_rate": rate} for rate in (0.0, 0.1, 0.2)]
    assert [len(group) for group in groups(members(small(), grid))] == [1, 2]


@pytest.mark.parametrize(
    ("grid", "error"),
    [
        ("seed", "expected KEY=VALUE"),
        (" ; ", "--grid has ' ; ', expected KEY=VALUE"),
        ("seed=0;seed=1", "has seed twice"),
        ("seed=a", "--grid has seed=a, expected a value of type int"),
        ("optim.learning_rat=1", "unknown option optim.learning_rat in --grid; did you mean"),
    ],
)
def test_a_wrong_grid_is_refused(grid, error):
    with pytest.raises(UserError, match=error):
        parse_grid(grid, small())


@pytest.mark.parametrize(("config", "changes"), [({"mesh.fsdp": 2}, {}), ({}, {"mesh.data": 1})])
def test_a_mesh_is_refused(config, changes, tmp_path):
    with pytest.raises(UserError, match=r"member default: config\.mesh\.data=.* are for one run"):
        sweep(small(**config), [{"seed": 0, **changes}], tmp_path)


def test_equal_members_are_refused():
    with pytest.raises(UserError, match="two members of the sweep are both seed=1"):
        members(small(), [{"seed": 1}, {"seed": 2}, {"seed": 1}])


def test_halving_after_the_end_is_refused(tmp_path):
    with pytest.raises(UserError, match="--halve=3 should be rising epochs from 1 to 2"):
        sweep(small(), [{"seed": 0}], tmp_path, halve=[3])


def entry(name, seed, accuracy, valid, status="finished"):
    measured = {"accuracy": accuracy, "valid_accuracy": valid, "valid_loss": 1.0, "epoch": 1}
    return {"name": name, "status": status, "overrides": {"x.init": name[0], "seed": seed}} | (
        measured if status == "finished" else {}
    )


RANKED = [entry("a0", 0, 0.9, 0.8), entry("a1", 1, 0.8, 0.6), entry("b0", 0, 0.5, 0.75)]


def test_mean_and_deviation_over_seeds():
    first, second = over_seeds([*RANKED, entry("b1", 1, 0, 0, "diverged")], "accuracy")
    assert (first["name"], second["name"]) == ("init=b", "init=a")
    assert (first["num_seeds"], first["std"]) == (1, None)
    assert second["mean"] == pytest.approx(0.85)
    assert second["std"] == pytest.approx(0.1 / 2**0.5)


def test_table_and_csv_have_a_line_a_member():
    assert "a1      finished      1  60.00 %  80.00 %" in table(RANKED, "accuracy")
    heads, first, *_ = as_csv(RANKED).splitlines()
    assert heads.startswith("name,status,x.init,seed,epoch")
    assert first.startswith("a0,finished,a,0,1")
