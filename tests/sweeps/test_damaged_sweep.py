"""The files of a sweep are one whole: what does not fit the others is said, nothing is guessed."""

import json
import shutil

import pytest
from small_runs import quiet, small

from vitjax.errors import UserError
from vitjax.runs.listing import entries
from vitjax.sweeps.grid import train_grid
from vitjax.sweeps.sweep_folder import PartFolder

RATES = {"learning_rate=0.01": 1e-2, "learning_rate=0.003": 3e-3, "learning_rate=0.001": 1e-3}
GRID = [{"optim.learning_rate": rate} for rate in RATES.values()]
HALVE = [1]


def sweep(workdir, say=quiet):
    return train_grid(small(**{"data.max_examples": 60}), GRID, workdir, halve=HALVE, say=say)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a sweep that was killed after the first of two segments."""
    folder = tmp_path_factory.mktemp("stopped") / "sweep"

    def kill(line):
        if line.startswith("halving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(folder, say=kill)
    return folder


def test_a_finished_sweep_says_again_who_was_dropped(finished):
    said = []
    sweep(finished, said.append)
    ends = json.loads((finished / "sweep.json").read_text())["members"]
    dropped = {end["name"] for end in ends if end["status"] == "dropped"}
    (line,) = (line for line in said if line.startswith("halving"))
    assert set(line.partition("dropped: ")[2].split(", ")) == dropped


def test_lost_groups_are_named_and_nothing_trains_again(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "sweep")
    shutil.rmtree(folder / "groups")
    with pytest.raises(UserError, match="has members that have ended and lacks groups, which tel"):
        sweep(folder)
    assert not (folder / "groups").exists()


def test_members_that_no_longer_fit_together_are_refused(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "sweep")
    shutil.rmtree(folder / "groups/0/0/0")  # as if it were killed before the first checkpoint
    (folder / "groups/0/0/done.json").unlink()
    for name in RATES:
        shutil.rmtree(folder / "runs" / name)
    words = r"the 3 members that train together since this sweep began need .* GiB of a device"
    with pytest.raises(UserError, match=words):
        train_grid(
            small(**{"data.max_examples": 60}), GRID, folder, halve=HALVE, say=quiet, max_bytes=1024
        )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_sweep_killed_after_any_of_its_ends_goes_on(number, tmp_path, monkeypatch):
    """One member diverges in the first of two segments, at whose end one is dropped."""
    config = small(**{"optim.name": "sgd", "data.max_examples": 60})
    grid = [{"optim.learning_rate": rate} for rate in (1e-2, 1e-3, 1e30)]
    write, calls = PartFolder.write_done, []

    def kill(*args):
        write(*args)
        calls.append(args)
        if len(calls) == number:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartFolder, "write_done", kill)
        with pytest.raises(KeyboardInterrupt):
            train_grid(config, grid, tmp_path, halve=[1], say=quiet)
    ranked = train_grid(config, grid, tmp_path, halve=[1], say=quiet)
    assert [end["status"] for end in ranked] == ["finished", "dropped", "diverged"]


@pytest.fixture(scope="module")
def finished(stopped, tmp_path_factory):
    """The folder of a sweep that has ended."""
    folder = shutil.copytree(stopped, tmp_path_factory.mktemp("finished") / "sweep")
    sweep(folder)
    return folder


def metrics(folder, name):
    return folder / "runs" / name / "metrics.jsonl"


def swap(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def one(done, status):
    return next(each for each in done["outcomes"].values() if each["status"] == status)


def test_metrics_of_two_members_that_are_swapped(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "sweep")
    swap(*(metrics(folder, name) for name in list(RATES)[:2]))
    with pytest.raises(UserError, match=r"runs/\S+/metrics\.jsonl does not fit the checkpoint"):
        sweep(folder)


def test_a_number_of_a_member_that_is_changed(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "sweep")
    file = metrics(folder, "learning_rate=0.003")
    edit(file, lambda line: line.update(valid_loss=0.5))
    file.write_text(file.read_text() + "\n")
    with pytest.raises(UserError, match=r"rate=0\.003/metrics\.jsonl does not fit the checkpoint"):
        sweep(folder)


def test_another_plan(stopped, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "sweep")
    (manifest,) = folder.glob("groups/0/0/0/*/manifest.json")
    edit(manifest, lambda told: told["made_with"]["plan.json"]["config"].update(num_epochs=7))
    with pytest.raises(
        UserError,
        match=r"^plan\.json does not fit the checkpoint .* config\.num_epochs was 7, is 3",
    ):
        sweep(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda done: done["outcomes"].popitem(), r"done\.json lacks how learning_rate=\S+ ended"),
        (
            lambda done: next(iter(done["outcomes"].values())).update(segment=5),
            r"outcomes\.learning_rate=\S+\.segment is 5, and segments 2",
        ),
        (
            lambda done: one(done, "finished").update(accuracy=0.123),
            r"accuracy is 0\.123, and \S+eval\.json has it 0\.",
        ),
        (
            lambda done: one(done, "dropped").update(valid_loss=9.5),
            r"valid_loss is 9\.5, and \S+metrics\.jsonl has it",
        ),
        (
            lambda done: one(done, "finished").update(status="diverged"),
            r"split is test, and \S+metrics\.jsonl lacks it",
        ),
    ],
)
def test_how_a_member_ended_is_as_its_folder_says(change, problem, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "sweep", symlinks=True)
    edit(folder / "groups/0/0/done.json", change)
    with pytest.raises(UserError, match=problem):
        sweep(folder)


def test_clocks_may_differ_as_those_of_several_processes_do(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "sweep", symlinks=True)
    clocks = {"seconds": 0.125, "images_per_second": 7.0}
    edit(folder / "groups/0/0/done.json", lambda done: one(done, "dropped").update(clocks))
    sweep(folder)


def test_folders_of_two_members_that_are_swapped(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "sweep", symlinks=True)
    swap(*(folder / "runs" / name for name in list(RATES)[:2]))
    with pytest.raises(UserError, match=r"member \S+: .* holds a run with another config"):
        sweep(folder)


@pytest.mark.parametrize("name", ["dataset.json", "checkpoints", "metrics.jsonl"])
def test_a_file_that_a_member_lost_is_named(name, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "sweep", symlinks=True)
    best = (folder / "best").resolve()
    (best / name).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"member {best.name}: .* lacks {name}"):
        sweep(folder)
    (damaged,) = (each for each in entries(folder) if each.state == "damaged")
    assert f"{best.name} has eval.json and lacks {name}" in damaged.problem


def test_a_number_of_the_result_that_was_changed_is_noticed(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "sweep", symlinks=True)
    edit(folder / "sweep.json", lambda result: result["members"][0].update(accuracy=0.123))
    assert "sweep.json was changed since it was written" in entries(folder)[0].problem
    sweep(folder)
    assert entries(folder)[0].state == "finished"


def test_what_is_whole_gives_the_same_again(finished):
    first = (finished / "sweep.json").read_bytes()
    sweep(finished)
    assert (finished / "sweep.json").read_bytes() == first
