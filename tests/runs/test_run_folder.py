"""The files of a run: checkpoints, metrics, config."""

import errno
import fcntl
import json

import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import lock
from vitjax.config import flatten
from vitjax.errors import UserError
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.run_folder import RunFolder


def state(step):
    return {"step": jnp.int32(step), "params": {"kernel": jnp.full((3, 2), float(step))}}


@pytest.fixture
def checkpoints(tmp_path):
    made = Checkpoints(tmp_path / "checkpoints", lambda line: None)
    yield made
    made.close()


def test_keeps_the_newest_two_and_the_best(checkpoints):
    for step in (1, 2, 3, 4, 5, 6):
        checkpoints.save(step, state(step), best=step == 2)
    checkpoints.wait()
    assert checkpoints.steps() == [2, 5, 6]


def test_restores_the_newest(checkpoints):
    for step in (1, 2):
        checkpoints.save(step, state(step))
    checkpoints.wait()
    restored = checkpoints.restore(state(0))
    np.testing.assert_array_equal(restored["params"]["kernel"], np.full((3, 2), 2.0))
    assert int(checkpoints.restore_step(1, state(0))["step"]) == 1


def test_nothing_to_restore(checkpoints):
    assert checkpoints.restore(state(0)) is None


def test_every_step_gets_a_manifest(checkpoints, tmp_path):
    for step in (1, 2):
        checkpoints.save(step, state(step))
    checkpoints.wait()
    for step in (1, 2):
        folder = tmp_path / "checkpoints" / str(step)
        listed = json.loads((folder / "manifest.json").read_text())["files"]
        files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        of_orbax = {"_CHECKPOINT_METADATA", "commit_success.txt"}  # which it writes at the end
        assert set(listed) - of_orbax == files - of_orbax - {"manifest.json"}
        assert all(len(digest) == 64 for digest in listed.values())


def line(step):
    return {"step": step, "epoch": step // 4, "valid_loss": 0.5}


def test_metrics_after_the_checkpoint_are_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (4, 8, 12):
        folder.append_metrics(line(step))
    assert folder.truncate_metrics(8) == [line(4), line(8)]
    folder.append_metrics(line(12))
    assert folder.metrics() == [line(4), line(8), line(12)]


def test_a_line_cut_short_is_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_metrics(line(4))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "ep')
    assert folder.truncate_metrics(100) == [line(4)]
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1


def test_same_config_is_accepted_and_another_is_not(tmp_path):
    folder = RunFolder(tmp_path / "run")
    config = {"seed": 0, "data": {"name": "digits", "data_dir": "a"}}
    folder.check_config(config, {})
    folder.create(config, {"versions": {}})
    folder.check_config(config, {})
    folder.check_config(config | {"data": {"name": "digits", "data_dir": "moved"}}, {})
    with pytest.raises(UserError, match=r'data\.name was "digits", is "mnist"; seed was 0, is 1'):
        folder.check_config({"seed": 1, "data": {"name": "mnist", "data_dir": "a"}}, {})


def test_an_option_that_the_run_did_not_know_had_its_default(tmp_path):
    folder = RunFolder(tmp_path)
    folder.create({"seed": 0}, {})
    folder.check_config({"seed": 0, "new": 1}, {"seed": 5, "new": 1})
    with pytest.raises(UserError, match=r"new was 1, is 2"):
        folder.check_config({"seed": 0, "new": 2}, {"seed": 5, "new": 1})


@pytest.mark.parametrize("text", ["{", "{}", "[]", "null"])
def test_damaged_config(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged; put it back"):
        RunFolder(tmp_path).check_config({}, {})


def test_damaged_line_in_the_middle(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 4, "epoch": 1}\nnull\n{"step": 12, "epoch": 1}\n'
    )
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is damaged"):
        RunFolder(tmp_path).metrics()


def test_workdir_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"it is a file; choose another"):
        RunFolder(tmp_path / "file").check_config({}, {})


def test_other_data_are_refused(tmp_path):
    folder = RunFolder(tmp_path)
    folder.check_dataset({"name": "npz", "mean": (0.5,)})
    folder.check_dataset({"name": "npz", "mean": (0.5,)})
    with pytest.raises(UserError, match=r"a run on other data: mean was \[0\.5\], is \[0\.6\]"):
        folder.check_dataset({"name": "npz", "mean": (0.6,)})


def test_a_whole_checkpoint_of_another_shape_is_left_where_it_is(checkpoints, tmp_path):
    checkpoints.save(1, state(1))
    checkpoints.wait()
    other = state(0) | {"params": {"kernel": jnp.zeros((4, 4))}}
    with pytest.raises(UserError, match=r"checkpoints/1 cannot be read: .*shape"):
        checkpoints.restore(other)
    assert (tmp_path / "checkpoints" / "1" / "manifest.json").exists()


def test_flatten():
    assert flatten({"a": 1, "b": {"c": 2, "d": {"e": 3}}}) == {"a": 1, "b.c": 2, "b.d.e": 3}


def test_a_folder_that_cannot_be_locked_is_the_users_mistake(tmp_path):
    (tmp_path / ".lock").mkdir()
    message = r"cannot write to --workdir=.*: Is a directory; choose another"
    with pytest.raises(UserError, match=message), RunFolder(tmp_path).lock():
        pass


def test_a_lost_file_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"dataset\.json is damaged; put it back"):
        RunFolder(tmp_path).read("dataset.json", "name")


@pytest.mark.parametrize("damaged", [b"\xff\xfe", b"[]", b"{}", b"3"])
def test_a_line_that_is_no_epoch_is_named(damaged, tmp_path):
    good = b'{"step": 4, "epoch": 1}\n'
    (tmp_path / "metrics.jsonl").write_bytes(good + damaged + b"\n" + good)
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is damaged; mend it"):
        RunFolder(tmp_path).metrics()


def test_a_folder_in_place_of_metrics_is_the_users_mistake(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*metrics\.jsonl: Is a directory"):
        RunFolder(tmp_path).metrics()


def test_a_name_that_is_too_long_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"cannot write to --workdir=.*: File name too long"):
        RunFolder(tmp_path / ("x" * 300))


@pytest.mark.parametrize(("number", "free"), [(errno.EWOULDBLOCK, False), (errno.ENOLCK, True)])
def test_a_file_system_without_locks_keeps_nobody_out(number, free, tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (tmp_path / "lock").open("w") as file:
        assert lock.taken(file) is free
