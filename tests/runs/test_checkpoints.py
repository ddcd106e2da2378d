"""Checkpoints: which count as written, what lies beside them, several written at once."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from commands import ends, environment, free_port

from vitjax.errors import UserError
from vitjax.runs import checkpoints as runs_checkpoints
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.manifest import saved_steps
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.weights import read_variables

SAVE_ALONE = """
import sys
from pathlib import Path
import jax, numpy as np
from vitjax.runs.checkpoints import Checkpoints

folder, port, me = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(me))
jax.devices()
for i in range(5) if me == "0" else ():
    checkpoints = Checkpoints(Path(folder) / str(i), alone=True)
    for step in (1, 2):
        checkpoints.save(step, {"x": np.full(1000, step)})
    checkpoints.close()
    assert checkpoints.steps() == [1, 2]
"""


def test_the_first_process_saves_alone_without_waiting_for_the_other(tmp_path):
    words = [sys.executable, "-c", SAVE_ALONE, str(tmp_path), str(free_port())]
    env = environment(JAX_NUM_CPU_DEVICES="1")
    both = [subprocess.Popen([*words, str(i)], env=env, stderr=subprocess.PIPE) for i in range(2)]
    for code, _, error in ends(both):
        assert code == 0, error.decode()


def state(step):
    return {"step": jnp.int32(step), "params": {"kernel": jnp.full((3, 2), float(step))}}


@pytest.fixture
def saved(tmp_path):
    """A folder with the checkpoints of the steps 1 and 2."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        checkpoints.save(step, state(step))
    checkpoints.close()
    return tmp_path / "checkpoints"


def restored(folder):
    """The step that a folder gives back, and what is said."""
    said = []
    checkpoints = Checkpoints(folder, said.append)
    try:
        return int(checkpoints.restore(state(0))["step"]), said
    finally:
        checkpoints.close()


def test_a_step_has_its_manifest_before_it_has_its_name(tmp_path, monkeypatch):
    seal, seen = runs_checkpoints.manifest.seal, []

    def sealing(folder, step, made_with):
        seen.append((folder.name, (folder.parent / "7").exists()))
        seal(folder, step, made_with)

    monkeypatch.setattr(runs_checkpoints.manifest, "seal", sealing)
    checkpoints = Checkpoints(tmp_path, made_with=lambda step: {"a file": {"step": step}})
    checkpoints.save(7, state(7))
    checkpoints.close()
    ((name, committed),) = seen
    assert name.startswith("7.")
    assert not committed
    told = json.loads((tmp_path / "7" / "manifest.json").read_text())
    assert told["made_with"] == {"a file": {"step": 7}}


def test_a_step_of_another_run_is_not_restored(tmp_path):
    def saved(name, seed):
        folder = tmp_path / name
        checkpoints = Checkpoints(folder, made_with=lambda step: {"config.json": {"seed": seed}})
        for step in (1, 2):
            checkpoints.save(step, state(step))
        checkpoints.close()
        return folder

    own, other = saved("own", 0), saved("other", 1)
    shutil.rmtree(own / "1")
    shutil.copytree(other / "1", own / "1")
    checkpoints = Checkpoints(own, made_with=lambda step: {"config.json": {"seed": 0}})
    assert int(checkpoints.restore(state(0))["step"]) == 2
    with pytest.raises(UserError, match=r"config\.json does not fit .*/1: seed was 1, is 0"):
        checkpoints.restore_step(1, state(0))
    checkpoints.close()


def test_a_copy_of_a_step_is_set_aside_and_hinders_no_later_one(saved):
    shutil.copytree(saved / "2", saved / "200")
    step, said = restored(saved)
    assert step == 2
    assert "200 is a copy of step 2, and is set aside" in said[0]
    checkpoints = Checkpoints(saved)
    checkpoints.save(3, state(3))
    checkpoints.close()
    assert checkpoints.steps() == [2, 3]


def test_a_step_before_the_newest_cannot_be_saved(saved):
    checkpoints = Checkpoints(saved)
    with pytest.raises(UserError, match=r"cannot write .*step 0 is not after 2, which is there"):
        checkpoints.save(0, state(0))
    checkpoints.close()


def test_a_step_whose_arrays_are_left_out_is_not_taken_for_whole(tmp_path):
    """As Orbax does in a folder whose name is a pattern that does not match itself."""
    folder = tmp_path / "[a]"
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, state(1))
    with pytest.raises(UserError, match=r"cannot write .*left the arrays of step 1"):
        checkpoints.wait()
    assert saved_steps(folder) == []


@pytest.mark.parametrize("where", ["damaged", "unfinished"])
def test_a_file_where_steps_are_set_aside_is_named(where, saved):
    (saved / where).write_text("")
    manifest = saved / "2" / "manifest.json"
    if where == "damaged":
        manifest.write_text("")
    else:
        manifest.unlink()
    with pytest.raises(UserError, match=rf"cannot set .*/2 aside in .*{where}: .*; move one"):
        Checkpoints(saved)


def test_a_step_without_manifest_counts_as_not_written(saved):
    (saved / "2" / "manifest.json").unlink()
    step, said = restored(saved)
    assert step == 1
    assert "2 has no manifest.json" in said[0]
    assert (saved / "unfinished" / "2").is_dir()


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "default/notes.txt"])
def test_a_file_that_no_manifest_lists_does_not_matter(name, saved):
    for step in (1, 2):
        (saved / str(step) / name).write_text("stray")
    (saved / ".DS_Store").write_text("stray")
    assert restored(saved) == (2, [])
    assert set(runs_checkpoints.read(saved, 2, ["params"])["params"]) == {"kernel"}


@pytest.mark.parametrize("name", ["999999", "²", "02", "2.bak"])
def test_a_stray_folder_blames_no_checkpoint(name, saved):
    (saved / name).mkdir()
    step, said = restored(saved)
    assert step == 2
    assert said == [] or "999999 has no manifest.json" in said[0]


def test_a_stray_folder_alone_is_no_checkpoint(tmp_path):
    (tmp_path / "999999").mkdir()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(state(0)) is None
    checkpoints.close()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1, "made_with": {}}', '{"a": 1}'])
def test_a_damaged_manifest_is_a_damaged_checkpoint(text, saved):
    (saved / "2" / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"2 is damaged \(manifest\.json changed\)"):
        runs_checkpoints.read(saved, 2, ["params"])
    step, said = restored(saved)
    assert step == 1
    assert "is damaged (manifest.json changed) and set aside" in said[0]


@pytest.mark.parametrize("name", ["manifest.json", "_METADATA"])
def test_a_file_that_may_not_be_read_is_not_damaged(name, saved, monkeypatch):
    def opened(path, *arguments, whole=Path.open, **options):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(UserError, match=rf"cannot read .*{name}: Permission denied; make it"):
        restored(saved)
    with pytest.raises(UserError, match=rf"cannot read .*{name}: Permission denied; make it"):
        runs_checkpoints.read(saved, 2, ["params"])
    monkeypatch.undo()
    assert restored(saved) == (2, [])


def test_a_folder_of_checkpoints_that_may_not_be_read_is_said(saved, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(UserError, match=r"cannot read .*checkpoints: Permission denied; make it"):
        saved_steps(saved)


def test_a_deleted_file_is_noticed(saved):
    next((saved / "2" / "default").rglob("_METADATA")).unlink()
    step, said = restored(saved)
    assert step == 1
    assert "_METADATA changed" in said[0]


def test_a_step_that_is_damaged_after_its_folder_was_opened_is_not_restored(saved):
    checkpoints = Checkpoints(saved)
    (saved / "1" / "default" / "_METADATA").write_text("{}")
    with pytest.raises(UserError, match=r"checkpoint .*/1 is damaged \(.* changed\); the same com"):
        checkpoints.restore_step(1, {"x": jnp.zeros(3)})
    checkpoints.close()


def test_a_manifest_of_an_earlier_version_is_understood(saved):
    for step in (1, 2):
        path = saved / str(step) / "manifest.json"
        listed = json.loads(path.read_text())["files"]
        path.write_text(json.dumps(listed | {"_CHECKPOINT_METADATA": "changed since"}))
    shutil.rmtree(saved / "2" / "default")
    assert restored(saved)[0] == 1


def test_what_orbax_keeps_for_itself_may_be_lost(saved):
    (saved / "2" / "_CHECKPOINT_METADATA").unlink()
    assert restored(saved) == (2, [])


@pytest.mark.parametrize("text", ["[]", '{"item_handlers": 3}', '{"init_timestamp_nsecs": "1"}'])
def test_what_orbax_keeps_for_itself_and_cannot_read_is_named(text, saved):
    (saved / "2" / "_CHECKPOINT_METADATA").write_text(text)
    with pytest.raises(
        UserError, match=r"a file _CHECKPOINT_METADATA in .* cannot be read .*delete"
    ):
        restored(saved)


def test_a_state_is_not_restored_where_the_files_say_otherwise(tmp_path):
    def checkpoints(**said):
        return Checkpoints(tmp_path, made_with=lambda step: {"config.json": {"optim": said}})

    first = checkpoints(rate=(1, 2))
    first.save(1, state(1))
    first.close()
    again = checkpoints(rate=[1, 2])
    assert int(again.restore(state(0))["step"]) == 1
    again.close()
    other = checkpoints(rate=[1, 3])
    message = (
        r"config\.json does not fit the checkpoint .*/1: optim\.rate was \[1, 2\], is \[1, 3\]"
    )
    with pytest.raises(UserError, match=message):
        other.restore(state(0))
    other.close()


def test_a_step_that_is_not_kept_is_whole_until_it_is_gone(tmp_path):
    """A kill within its deletion leaves no step that looks damaged."""
    said = []
    killed = Checkpoints(tmp_path, said.append)
    for step in (1, 2, 3):
        killed.save(step, {"x": jnp.ones(3)})
    killed.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3", "pruned"]
    (tmp_path / "pruned/1/manifest.json").unlink()
    again = Checkpoints(tmp_path, said.append)
    again.close()
    assert (said, again.steps()) == ([], [2, 3])
    assert not (tmp_path / "pruned").exists()


def test_a_step_that_is_dropped_while_it_is_read(own_run, monkeypatch):
    read, calls = runs_checkpoints.read, []

    def slow(folder, step, names):
        calls.append(step)
        if len(calls) == 1:
            (folder / str(step)).rename(folder / "gone")
        elif len(calls) == 2:
            (folder / "gone").rename(folder / str(calls[0]))
        return read(folder, step, names)

    monkeypatch.setattr(runs_checkpoints, "read", slow)
    step, _ = read_variables(RunFolder(own_run), "last")
    assert len(calls) == 2
    assert step == calls[1]
