"""What is not measured yet: what it takes, and working through it."""

import json
import shutil
import subprocess
import sys

import pytest
from commands import REPO, environment

from vitjax.errors import UserError
from vitjax.published import ledger, pending, recipes
from vitjax.published.__main__ import run

SPEEDS = REPO / "vitjax/benchmarking/results/seeds_cpu.json"


def test_what_is_measured_is_not_pending_and_the_cheapest_comes_first(monkeypatch):
    def result(row, recipe, folder=None):
        return {"accuracies": {}} if row.row == "xavier_uniform_" else None

    monkeypatch.setattr(ledger, "result", result)
    tasks = pending.tasks(ledger.rows(seed="001"), "cpu", range(3))
    configs = [task.config for task in tasks]
    assert "configs/mixer_mnist.py:xavier_uniform" not in configs
    assert "configs/mixer_mnist.py:mse-adam" in configs
    assert [task.seconds for task in tasks] == sorted(task.seconds for task in tasks)


def test_recipes_are_pending_too(monkeypatch, tmp_path):
    row = ledger.find("vit_light", "mnist")
    recipe = recipes.Recipe(row, "configs/vit_light.py:fashion_mnist", "other images")
    monkeypatch.setattr(recipes, "recipes", lambda: (recipe,))
    (task,) = pending.tasks([row], "cpu", [0])
    assert (task.name, task.seeds) == ("vit_light-fashion_mnist", (0,))


def test_the_time_of_a_recorded_network_is_that_of_its_steps(monkeypatch):
    monkeypatch.setattr(ledger, "result", lambda *given: None)
    row = ledger.find("vit_mnist", "ViT")
    found = pending.tasks([row], "cpu", [0])
    (task,) = (task for task in found if task.config == row.config)  # beside its recipes
    recorded = json.loads(SPEEDS.read_text())["results"]["vit_mnist"]
    steps = 10 * 54_000 / 128
    assert task.seconds == pytest.approx(steps * recorded["step_seconds"]["median"])
    assert task.bytes == pytest.approx(recorded["peak_bytes"]["predicted"])


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_larger_networks_take_longer_on_every_platform(platform):
    small, large = (
        pending.tasks([ledger.find("vit_cifar100", row)], platform, [0])[0]
        for row in ("4p4l", "4p8l")
    )
    assert 0 < small.seconds < large.seconds


def test_the_table_has_each_task_and_its_command(capsys):
    row = ledger.find("vit_light", "fashion_mnist-lr0.1-b16")  # which has no recipe
    assert run(["--pending", f"--row={row.row}", "--seeds=2", "--data_dir=my data"]) == 0
    header, line, _, command = capsys.readouterr().out.splitlines()
    assert header.split()[-2:] == ["expected", "GiB"]
    assert line.split()[:4] == [row.seed, row.config, "5", "2"]
    assert command == (
        f"python -m vitjax.sweep --config={row.config} --grid=seed=0,1 "
        f"--workdir=runs/published/vit_light-{row.row} '--config.data.data_dir=my data'"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--run"], "--run is for what is pending; add --pending"),
        (["--pending", "--run", "--budget=soon"], "--budget=soon given, expected a time such as"),
        (["--pending", "--run", "--budget=-5m"], "--budget=-5m given, expected a time such as"),
        (["--pending", "--seeds=0"], "--seeds"),
    ],
)
def test_mistakes(args, said, capsys):
    assert run(args) != 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("budget", "seconds"), [("90s", 90), ("25m", 1500), ("0.5h", 1800)])
def test_budgets(budget, seconds):
    assert pending.parse_budget(budget) == seconds


def test_durations():
    assert [pending.duration(s) for s in (3, 150, 7200, 86_400 * 2)] == [
        "3 s",
        "2 min",
        "2 h",
        "2 d",
    ]


@pytest.mark.slow
def test_a_spent_budget_saves_and_the_next_call_goes_on_and_records(tmp_path, monkeypatch):
    row = ledger.find("vit_light", "mnist")
    task = pending.Task(row, "configs/vit_digits.py:debug", (0,), 60.0, 1e6)
    said, recorded = [], []

    def work(budget):
        record = lambda path: recorded.append(path) or [path]  # noqa: E731
        return pending.work([task], budget, str(tmp_path), "", record, said.append)

    assert work(2) == 0
    assert "the budget is spent: configs/vit_digits.py:debug is saved in" in said[-1]
    assert recorded == []
    assert work(600) == 0
    assert recorded == [f"{tmp_path}/vit_digits-debug"]


def test_nothing_begins_when_the_budget_is_spent(tmp_path):
    task = pending.Task(ledger.find("vit_light", "mnist"), "configs/no.py", (0,), 60.0, 1e6)
    said = []
    assert pending.work([task], 0, str(tmp_path), "", lambda path: [path], said.append) == 0
    assert said == ["the budget is spent"]


def test_what_cannot_be_recorded_is_said_and_left(tmp_path, monkeypatch):
    def record(workdir):
        raise UserError(f"nothing in {workdir} has finished")

    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    task = pending.Task(ledger.find("vit_light", "mnist"), "configs/no.py", (0,), 60.0, 1e6)
    said = []
    assert pending.work([task] * 2, 60, str(tmp_path), "", record, said.append) == 1
    assert said[1] == said[3] == f"not recorded: nothing in {tmp_path}/no has finished"


@pytest.mark.skipif(sys.platform == "win32", reason="signals end no process there")
def test_a_signal_that_comes_before_a_command_listens_ends_all(tmp_path, monkeypatch):
    begun, script = tmp_path / "begun", tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho >> {begun}\nkill -TERM $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    task = pending.Task(ledger.find("vit_light", "mnist"), "configs/no.py", (0,), 60.0, 1e6)
    assert pending.work([task] * 2, 60, str(tmp_path), "", lambda path: [path], list) == 143
    assert begun.read_text() == "\n"


DEAF = """
import sys
from vitjax.machine import signals
from vitjax.published import ledger, pending

signals.listen()
sys.executable = sys.argv[1]
task = pending.Task(ledger.find("vit_light", "mnist"), "configs/no.py", (0,), 60.0, 1e6)
sys.exit(pending.work([task] * 2, 60, sys.argv[2], "", lambda path: [path]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals end no process there")
def test_a_signal_that_a_command_no_longer_hears_ends_all(tmp_path):
    """As in the last moments of Python, which has ended its threads."""
    begun, script = tmp_path / "begun", tmp_path / "python"
    lines = [
        "#!/bin/sh",
        "trap '' TERM",
        f"echo >> {begun}",
        "sleep 1",
        "kill -TERM $PPID",
        "sleep 1",
    ]
    script.write_text("\n".join(lines))
    script.chmod(0o755)
    words = [sys.executable, "-c", DEAF, str(script), str(tmp_path)]
    done = subprocess.run(words, env=environment(), cwd=REPO, capture_output=True)
    assert done.returncode == 143, done.stderr
    assert begun.read_text() == "\n"


WORK = """
import sys
from vitjax.published import ledger, pending

task = pending.Task(ledger.find("vit_light", "mnist"), "configs/vit_digits.py", (0,), 60.0, 1e6)
pending.work([task], 600, sys.argv[1], "", lambda path: [path])
"""


def test_the_one_that_is_measured_ends_when_this_is_killed(tmp_path):
    words = [sys.executable, "-c", WORK, str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment(), cwd=REPO)
    for line in process.stdout:
        if b"compiling" in line:
            break
    process.kill()
    process.communicate(timeout=60)  # returns when nobody holds its output open any more
    assert not (tmp_path / "vit_digits" / "sweep.json").exists()


@pytest.mark.slow
def test_what_fails_is_left_and_said_by_the_exit_code(tmp_path):
    row = ledger.find("vit_light", "mnist")
    task = pending.Task(row, "configs/vit_mnist.py:mlp1", (0,), 60.0, 1e6)
    assert pending.work([task], 60, str(tmp_path), "", lambda path: [path], lambda line: None) == 1
