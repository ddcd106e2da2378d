"""Copies of the metrics for TensorBoard."""

import sys
import types

import pytest
from commands import events, scalars

from vitjax.errors import UserError
from vitjax.runs import logs

pytest.importorskip("tensorboardX")


def open_logs(folder, step, **wanted):
    log = logs.Logs(folder, {}, **wanted)
    log.open(step)
    return log


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


def test_a_run_keeps_its_id_and_names_its_sweep(tmp_path, monkeypatch):
    began = []
    run = types.SimpleNamespace(finish=lambda: None)
    wandb = types.SimpleNamespace(init=lambda **options: began.append(options) or run)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for sweep in ("rates", ""):
        open_logs(tmp_path, 0, tensorboard=False, wandb=True, sweep=sweep).close()
    first, second = began
    assert first["id"] == second["id"]
    assert (first["group"], second["group"]) == ("rates", None)
    assert first["reinit"] == "create_new"  # others of the sweep may be open
