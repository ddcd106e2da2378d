"""Copies of the metrics for TensorBoard."""

import sys
import types

import pytest

from vitjax.errors import UserError
from vitjax.runs import logs

pytest.importorskip("tensorboardX")


def events(folder):
    from tensorboardX.proto import event_pb2

    found = []
    for file in sorted(folder.glob("tensorboard/events*")):
        data = file.read_bytes()
        while data:  # records: length, its checksum, the event, its checksum
            size = int.from_bytes(data[:8], "little")
            found.append(event_pb2.Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return found


def scalars(folder):
    return [(e.step, v.tag, v.simple_value) for e in events(folder) for v in e.summary.value]


def test_tensorboard_gets_every_number(tmp_path):
    log = open_logs(tmp_path, 0, tensorboard=True, wandb=False)
    log.write(5, {"train_loss": 0.5, "lr": 0.25})
    log.close()
    assert scalars(tmp_path) == [(5, "train_loss", 0.5), (5, "lr", 0.25)]


def test_a_resumed_log_supersedes_what_came_after_its_step(tmp_path):
    from tensorboardX.proto import event_pb2

    open_logs(tmp_path, 4, tensorboard=True, wandb=False).close()
    (start,) = (event for event in events(tmp_path) if event.session_log.status)
    assert start.session_log.status == event_pb2.SessionLog.START
    assert start.step == 5


def test_nothing_is_written_unless_asked_for(tmp_path):
    log = open_logs(tmp_path, 0, tensorboard=False, wandb=False)
    log.write(5, {"train_loss": 0.5})
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named_before_training(monkeypatch):
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"config.log.wandb needs wandb: pip install '.\[wandb\]'"):
        logs.check_installed(tensorboard=False, wandb=True)


def test_a_service_that_does_not_begin_is_one_line(tmp_path, monkeypatch):
    class Error(Exception):
        pass

    def init(**options):
        raise Error("No API key configured.")

    wandb = types.SimpleNamespace(init=init, errors=types.SimpleNamespace(Error=Error))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with pytest.raises(UserError, match=r"No API key configured\.; run wandb login"):
        open_logs(tmp_path, 0, tensorboard=False, wandb=True)


def test_a_run_keeps_its_id(tmp_path):
    assert logs._run_id(tmp_path / "wandb_id") == logs._run_id(tmp_path / "wandb_id")
