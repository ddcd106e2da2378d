"""What `vitjax runs` tells of folders: each state from what a run, or a kill, leaves there."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from commands import environment, main
from small_runs import quiet, small

from vitjax.errors import Diverged, UserError
from vitjax.runs.listing import entries
from vitjax.runs.run_folder import RunFolder
from vitjax.sweeps.grid import train_grid
from vitjax.training.run import train_and_evaluate


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """The folder of a sweep of one epoch, of which a member diverged."""
    workdir = tmp_path_factory.mktemp("runs") / "light"
    config = small(**{"num_epochs": 1, "optim.name": "sgd"})
    grid = [{"optim.learning_rate": 1e30}, {"optim.learning_rate": 0.05}]
    train_grid(config, grid, workdir, say=quiet)
    return workdir


def only(folder):
    (entry,) = entries(folder)
    return entry


def test_a_finished_run(own_run):
    entry = only(own_run.parent)
    result = json.loads((own_run / "eval.json").read_text())
    assert entry.path == own_run
    assert (entry.kind, entry.state, entry.model, entry.data) == (
        *("run", "finished", "vit", "digits"),
    )
    assert (entry.done, entry.of) == (2, 2)
    assert entry.test_accuracy == result["accuracy"]
    assert entry.valid_accuracy == result["valid_accuracy"]


def test_a_run_goes_on_or_was_interrupted(own_run):
    (own_run / "eval.json").unlink()
    lines = (own_run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (own_run / "metrics.jsonl").write_text(lines[0] + lines[1][:9])  # as a kill leaves it
    with RunFolder(own_run).lock():
        assert only(own_run).state == "running"
    entry = only(own_run)
    assert (entry.state, entry.done, entry.of) == ("interrupted", 1, 2)
    assert entry.valid_accuracy == json.loads(lines[0])["valid_accuracy"]
    assert entry.test_accuracy is None


def test_a_run_that_has_just_begun(own_run):
    for name in ("eval.json", "metrics.jsonl", "dataset.json"):
        (own_run / name).unlink()
    shutil.rmtree(own_run / "checkpoints")
    assert (only(own_run).state, only(own_run).done) == ("interrupted", 0)


@pytest.mark.slow
def test_a_run_that_diverged(tmp_path):
    with pytest.raises(Diverged):
        train_and_evaluate(small(**{"optim.name": "sgd", "optim.learning_rate": 1e30}), tmp_path)
    assert only(tmp_path).state == "diverged"


def test_who_looks_keeps_no_run_out(own_run):
    """Whoever trains tries again where someone looks at its lock."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom vitjax.machine.lock import taken\n"
        f"file = Path({str(own_run / '.lock')!r}).open('rb')\n"
        "print(taken(file, shared=True), flush=True)\ntime.sleep(0.05)\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment()) as looking:
        assert looking.stdout.readline() == b"True\n"
        with RunFolder(own_run).lock():
            assert only(own_run).state == "finished"


@pytest.mark.slow
def test_a_sweep_and_its_members(light):
    sweep, *members = entries(light.parent)
    assert (sweep.kind, sweep.state, sweep.done, sweep.of) == ("sweep", "finished", 2, 2)
    assert [(each.path.parent.parent, each.kind, each.state) for each in members] == [
        (light, "member", "diverged"),
        (light, "member", "finished"),
    ]
    assert sweep.test_accuracy == members[1].test_accuracy
    assert sweep.changed >= max(member.changed for member in members)


def test_a_sweep_in_the_making(light, tmp_path):
    own = shutil.copytree(light, tmp_path / "own", symlinks=True)
    (own / "sweep.json").unlink()
    shutil.rmtree(own / "groups")
    shutil.rmtree(own / "runs" / "learning_rate=1e+30")  # not begun yet
    with RunFolder(own).lock():
        sweep, member = entries(own)
    assert (sweep.state, sweep.done, sweep.of) == ("running", 0, 2)
    assert member.path.name == "learning_rate=0.05"


DAMAGES = {
    "config.json": ("{", r"config\.json is damaged \(no JSON\)"),
    "dataset.json": ("{}", r"dataset\.json is damaged \(name is missing\)"),
    "metrics.jsonl": ("{}\n", r"metrics\.jsonl line 1 is damaged"),
    "eval.json": ("[]", r"eval\.json is damaged \(it is \[\], expected an object\)"),
    "diverged.json": ("{}", r"diverged\.json is damaged \(where is missing\)"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_an_entry_that_says_so(own_run, name):
    text, message = DAMAGES[name]
    (own_run / name).write_text(text)
    assert only(own_run).state == "damaged"
    with pytest.raises(UserError, match=message):
        raise UserError(only(own_run).problem)


def test_a_config_without_what_is_listed(own_run):
    begun = json.loads((own_run / "config.json").read_text())
    del begun["config"]["data"]
    (own_run / "config.json").write_text(json.dumps(begun))
    assert "(config.data is missing)" in only(own_run).problem


def test_a_run_without_a_file_that_it_had(own_run):
    (own_run / "dataset.json").unlink()
    entry = only(own_run)
    assert entry.state == "damaged"
    assert "lacks dataset.json" in entry.problem


def test_a_sweep_whose_plan_is_damaged_still_shows_its_runs(light, tmp_path):
    own = shutil.copytree(light, tmp_path / "own", symlinks=True)
    (own / "plan.json").write_text("{}")
    sweep, *runs = entries(own)
    assert sweep.state == "damaged"
    assert "plan.json is damaged (config is missing)" in sweep.problem
    assert len(runs) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o000)
    assert only(tmp_path).problem.endswith("closed: Permission denied")


def test_newest_first_at_any_depth_and_links_lead_nowhere(digits_run, tmp_path):
    for name, age in (("old", 3000), ("a/b/new", 1000), ("mid", 2000)):
        folder = shutil.copytree(digits_run, tmp_path / name)
        for file in folder.glob("*.json*"):
            os.utime(file, (file.stat().st_atime, 1_700_000_000 - age))
    (tmp_path / "again").symlink_to(tmp_path / "old", target_is_directory=True)
    (tmp_path / "images").mkdir()
    found = [entry.path.relative_to(tmp_path).as_posix() for entry in entries(tmp_path)]
    assert found == ["a/b/new", "mid", "old"]


def test_the_command(own_run):
    folder = own_run.parent
    out, _ = main(folder, module="vitjax.runs")
    heads, line = out.splitlines()
    assert heads.split()[:4] == ["run", "model", "data", "epoch"]
    assert line.split()[:4] == [str(own_run), "vit", "digits", "2/2"]
    assert line.endswith("  finished")
    (told,) = map(json.loads, main(folder, "--json", module="vitjax.runs")[0].splitlines())
    assert told["path"] == str(own_run)
    assert told["state"] == "finished"
    assert told["changed"].endswith("+00:00")


def test_the_folder_runs_is_listed_without_another_one(own_run, tmp_path):
    own_run.rename(tmp_path / "runs")
    assert "  finished" in main(module="vitjax.runs", cwd=tmp_path)[0]


def test_no_folder_and_no_runs(tmp_path):
    _, err = main(module="vitjax.runs", cwd=tmp_path, code=1)
    assert err == "error: there is no folder runs; give one in which runs lie\n"
    assert main(tmp_path, module="vitjax.runs")[0] == f"no runs in {tmp_path}\n"
    assert "2 folders given" in main("a", "b", module="vitjax.runs", code=1)[1]


def test_runs_are_listed_without_jax(own_run):
    code = (
        f"import sys; sys.argv = ['vitjax', 'runs', {str(own_run)!r}]\n"
        "from vitjax.__main__ import main; main()\n"
        "print([name for name in ('jax', 'numpy') if name in sys.modules])"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment())
    assert out.splitlines()[-1] == "[]"
