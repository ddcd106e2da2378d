"""What a run shows, on a terminal, in a file and in a notebook."""

import sys
import threading
import types

import pytest

from vitjax.training import progress
from vitjax.training.progress import EpochBar, Pace, in_notebook


def pretend(monkeypatch, shell):
    ipython = types.SimpleNamespace(get_ipython=type(shell, (), {}) if shell else lambda: None)
    monkeypatch.setitem(sys.modules, "IPython", ipython)


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("ZMQInteractiveShell", True),
        ("Shell", True),
        ("TerminalInteractiveShell", False),
        ("", False),
    ],
)
def test_notebooks_are_told_from_terminals(shell, expected, monkeypatch):
    pretend(monkeypatch, shell)
    assert in_notebook() is expected


@pytest.mark.parametrize(("shell", "shown"), [("ZMQInteractiveShell", True), ("", False)])
def test_a_bar_is_shown_in_a_notebook_and_not_in_a_file(shell, shown, monkeypatch, capsys):
    pretend(monkeypatch, shell)
    with EpochBar(1, 2, 4, 0, 32) as bar:
        bar.update(2, 0.5, {"loss": 1.25, "accuracy": 0.5})
    assert ("epoch 1/2" in capsys.readouterr().err) is shown


@pytest.mark.parametrize("step_seconds", [1e-4, 0.02, 3.0])
def test_a_call_runs_two_seconds_of_steps_at_most(step_seconds):
    """However fast a step is: the bar moves, and a signal is heeded."""
    pace = Pace(0)
    assert pace.steps == 1
    for _ in range(6):
        pace.took(pace.steps, pace.steps * step_seconds)
        assert pace.steps == 1 or pace.steps * step_seconds <= 2.0
    assert pace.steps == max(1, int(2.0 / step_seconds))


def test_a_call_runs_as_many_steps_as_the_config_says():
    pace = Pace(7)
    pace.took(7, 60.0)
    assert pace.steps == 7


def test_what_takes_long_is_said_while_it_runs(monkeypatch):
    monkeypatch.setattr(threading, "Timer", AtOnce)
    said = []
    with progress.timed("compiling", said.append):
        assert said == ["compiling ..."]
    assert said[1].startswith("compiling (")


class AtOnce:
    """A timer whose seconds are over."""

    def __init__(self, seconds, call, words):
        self.start = lambda: call(*words)

    def cancel(self):
        pass
