"""The files of a run: checkpoints, metrics, config."""

import errno
import fcntl
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import epoch_line

from vitjax.config import flatten
from vitjax.errors import UserError
from vitjax.machine import lock
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


def test_metrics_after_the_checkpoint_are_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    one, two, three = map(epoch_line, (1, 2, 3))
    for line in (one, two, three):
        folder.append_metrics(line)
    assert folder.truncate_metrics(8) == [one, two]
    folder.append_metrics(three)
    assert folder.metrics() == [one, two, three]


def test_a_line_cut_short_is_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_metrics(epoch_line(1))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "ep')
    assert folder.truncate_metrics(100) == [epoch_line(1)]
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1


def test_a_last_line_may_lack_its_end(tmp_path):
    text = "\r\n".join(json.dumps(epoch_line(epoch)) for epoch in (1, 2))
    (tmp_path / "metrics.jsonl").write_text(text)
    assert RunFolder(tmp_path).metrics() == [epoch_line(1), epoch_line(2)]


def test_a_loss_may_be_as_large_as_float32_has(tmp_path):
    line = epoch_line(1) | {"train_loss": float(np.finfo(np.float32).max)}
    RunFolder(tmp_path).append_metrics(line)
    assert RunFolder(tmp_path).metrics() == [line]


@pytest.mark.parametrize(
    ("epochs", "place", "wrong"),
    [
        ([1, 3], 2, "it is epoch 3 at step 12, expected epoch 2 at step 8"),
        ([2, 3], 1, "it is epoch 2 at step 8, expected epoch 1 at step 8"),
        ([1, 2, 2], 3, "it is epoch 2 at step 8, expected epoch 3 at step 12"),
        ([1, 3, 2], 2, "it is epoch 3"),
    ],
)
def test_a_line_that_is_lost_or_doubled_is_named(epochs, place, wrong, tmp_path):
    text = "".join(json.dumps(epoch_line(epoch)) + "\n" for epoch in epochs)
    (tmp_path / "metrics.jsonl").write_text(text)
    message = rf"metrics\.jsonl line {place} is damaged \({wrong}.*\); put the file back"
    with pytest.raises(UserError, match=message):
        RunFolder(tmp_path).metrics()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"step": "8"}, 'step is "8", expected a whole number'),
        ({"lr": None}, "lr is null, expected a number"),
        ({"train_loss": True}, "train_loss is true, expected a number"),
        ({"valid_accuracy": 2}, "valid_accuracy is 2, expected at least 0 and at most 1"),
        ({"valid_loss": ...}, "it has one of valid_loss and valid_accuracy"),
        ({"step": ...}, "step is missing"),
        ({"valid_loss": ..., "valid_accuracy": ...}, "it has validation, or lacks it, unlike"),
    ],
)
def test_a_field_of_a_line_is_checked(changes, wrong, tmp_path):
    line = {k: v for k, v in (epoch_line(2) | changes).items() if v is not ...}
    text = "".join(json.dumps(each) + "\n" for each in (epoch_line(1), line))
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(UserError, match=rf"metrics\.jsonl line 2 is damaged \({wrong}"):
        RunFolder(tmp_path).metrics()


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
    folder.create({"seed": 0}, {"versions": {}})
    folder.check_config({"seed": 0, "new": 1}, {"seed": 5, "new": 1})
    with pytest.raises(UserError, match=r"new was 1, is 2"):
        folder.check_config({"seed": 0, "new": 2}, {"seed": 5, "new": 1})


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "config is missing"),
        ("null", "it is null, expected an object"),
        ('{"config": [1]}', r"config is \[1\], expected an object"),
        ('{"config": {}, "command": ""}', "versions is missing"),
    ],
)
def test_damaged_config(tmp_path, text, wrong):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=rf"config\.json is damaged \({wrong}\); put it back"):
        RunFolder(tmp_path).check_config({}, {})


def test_workdir_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"it is a file; choose another"):
        RunFolder(tmp_path / "file").check_config({}, {})


DATASET = {
    "name": "npz",
    "class_names": ("a", "b"),
    "mean": (0.5,),
    "std": (0.25,),
    "image_shape": (8, 8, 1),
    "num_examples": {"train": 9},
}


def test_other_data_are_refused(tmp_path):
    folder = RunFolder(tmp_path)
    folder.check_dataset(DATASET)
    folder.check_dataset(DATASET)
    with pytest.raises(UserError, match=r"a run on other data: mean was \[0\.5\], is \[0\.6\]"):
        folder.check_dataset(DATASET | {"mean": (0.6,)})


def test_a_mean_that_another_cpu_rounds_otherwise_is_the_same(tmp_path):
    folder = RunFolder(tmp_path)
    folder.check_dataset(DATASET | {"mean": (0.3079919563012087,)})
    folder.check_dataset(DATASET | {"mean": (0.30799195630120874,)})
    assert folder.dataset()["mean"] == [0.3079919563012087]
    with pytest.raises(UserError, match=r"other data: mean was \[0\.307\d+\], is \[0\.30799196\]"):
        folder.check_dataset(DATASET | {"mean": (0.30799196,)})


@pytest.mark.parametrize("what", ["labels", "pixels"])
def test_other_labels_and_pixels_are_refused_where_the_run_tells_its_own(what, tmp_path):
    told = [{what: {"train": digest}} for digest in ("0a1b", "2c3d")]
    begun_before, folder = RunFolder(tmp_path / "before"), RunFolder(tmp_path / "now")
    for each, described in ((begun_before, DATASET), (folder, DATASET | told[0])):
        each.path.mkdir()
        each.check_dataset(described)
        each.check_dataset(DATASET | told[0])
    with pytest.raises(UserError, match=rf'other data: {what}\.train was "0a1b", is "2c3d"'):
        folder.check_dataset(DATASET | told[1])


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
    with pytest.raises(UserError, match=r"cannot read .*dataset\.json: No such file"):
        RunFolder(tmp_path).dataset()


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"class_names": ...}, "class_names is missing"),
        ({"class_names": ["a", "a"]}, "class_names has 2 names, expected some, each once"),
        ({"image_shape": [8, 8]}, r"image_shape is \[8, 8\], expected height, width and channels"),
        ({"image_shape": [8, 8, 3]}, "mean has 1 numbers, expected 3"),
        ({"image_shape": "8x8"}, 'image_shape is "8x8", expected a list'),
        ({"std": [0]}, r"std\[0\] is 0, expected above 0"),
        ({"mean": [float("nan")]}, r"mean\[0\] is NaN, expected a number"),
        ({"num_examples": {"test": "9"}}, r'num_examples\.test is "9", expected a whole number'),
    ],
)
def test_a_field_of_dataset_json_is_checked(changes, wrong, tmp_path):
    content = {k: v for k, v in (DATASET | changes).items() if v is not ...}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"dataset\.json is damaged \({wrong}\); put it back"):
        RunFolder(tmp_path).dataset()


@pytest.mark.parametrize("damaged", [b"\xff\xfe", b"[]", b"{}", b"3", b"null", b""])
def test_a_line_that_is_no_epoch_is_named(damaged, tmp_path):
    lines = [json.dumps(epoch_line(epoch)).encode() for epoch in (1, 2)]
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join([lines[0], damaged, lines[1], b""]))
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is damaged \(.*\); put"):
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["config.json", "dataset.json", "metrics.jsonl", "eval.json"])
def test_a_pipe_is_no_file(name, tmp_path):
    os.mkfifo(tmp_path / name)
    folder = RunFolder(tmp_path)
    readers = {
        "config.json": folder.begun,
        "dataset.json": folder.dataset,
        "metrics.jsonl": folder.metrics,
        "eval.json": folder.evaluation,
    }
    with pytest.raises(UserError, match=rf"cannot read .*{name}: it is no file"):
        readers[name]()
