"""Processes that share a run: they join, agree, and refuse together."""

import json
import re
import subprocess
import sys

import pytest
from commands import (
    ends,
    environment,
    free_port,
    main,
    main_in_process_of_its_own,
    start_together,
)

AGREE = """
import json, sys, time
from pathlib import Path
from vitjax import cli
from vitjax.machine import processes
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder

command = cli.Command("")
join = command.group()
folder = command.string("folder", None, "")

def refused(act):
    try:
        act()
    except UserError as error:
        return str(error)

def fail(where, text="no"):
    with processes.agreed():
        if me in where:
            raise UserError(f"{text} at {me}")

def nested(where):
    with processes.agreed():
        fail([], "inner")
        if me in where:
            raise UserError(f"outer at {me}")
        fail([], "later")

def seconds_between_devices():
    # How long the devices of the process that comes first wait for those of the other.
    texts_of_all = processes.texts_of_all
    waited = []
    def timed(text):
        begun = time.monotonic()
        said = texts_of_all(text)
        waited.append(time.monotonic() - begun)
        return said
    processes.texts_of_all = timed
    with processes.agreed():
        time.sleep(5 * me)
    processes.texts_of_all = texts_of_all
    return waited[0]

def locked(folder):
    with RunFolder(folder).shared_lock():
        return "locked"

def main():
    global me
    join()
    import jax
    me = jax.process_index()
    own = Path(folder.value, str(me))
    own.mkdir(parents=True)
    processes.wait_for_all("made")
    found = {
        "numbers": processes.all_of(10 + me),
        "first": processes.of_first(f"I am {me}"),
        "waited": seconds_between_devices(),
        "none": refused(lambda: fail([])),
        "second": refused(lambda: fail([1])),
        "both": refused(lambda: fail([0, 1])),
        "nested": refused(lambda: nested([1])),
        "same": refused(lambda: processes.check_same("config", "x")),
        "other": refused(lambda: processes.check_same("config", str(me))),
        "own folders": refused(lambda: locked(own)),
        "one folder": refused(lambda: locked(own.parent)),
    }
    own.joinpath("found.json").write_text(json.dumps(found))
    fail([1], "the end")

sys.exit(command.run(main, None))
"""


@pytest.mark.slow
def test_two_processes_agree(tmp_path):
    both = start_together(2, sys.executable, "-c", AGREE, f"--folder={tmp_path}")
    (code, _, error), (second, out, silent) = ends(both)
    assert (code, second) == (1, 1), error + silent
    assert error == "error: process 1: the end at 1\n"
    assert (out, silent) == ("", "")  # the first speaks for both
    found = [json.loads((tmp_path / str(i) / "found.json").read_text()) for i in range(2)]
    for each in found:
        assert each["numbers"] == [10, 11]
        assert each["first"] == "I am 0"
        assert each["waited"] < 4  # of 5 seconds
        assert each["none"] is each["same"] is each["one folder"] is None
        assert each["other"] == "process 1 has another config than process 0"
    assert [each["second"] for each in found] == ["process 1: no at 1", "no at 1"]
    assert [each["both"] for each in found] == ["no at 0", "no at 1"]
    assert [each["nested"] for each in found] == ["process 1: outer at 1", "outer at 1"]
    for each in found:
        assert "is not the folder that process 0 writes" in each["own folders"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            "--num_processes=2",
            "--coordinator and --process_id missing; give --coordinator=HOST:PORT",
        ),
        ("--distributed --coordinator=a:1 --process_id=0", "--num_processes missing"),
        ("--coordinator=a --num_processes=2 --process_id=0", "--coordinator=a should be HOST:PORT"),
        (
            "--coordinator=a:1 --num_processes=2 --process_id=2",
            "--process_id=2 should be from 0 to 1",
        ),
        ("--coordinator=a:99999 --num_processes=2 --process_id=0", "port 99999 .* is taken, or no"),
    ],
)
@pytest.mark.parametrize("module", ["vitjax.main", "vitjax.sweep"])
def test_what_cannot_join_is_refused(module, options, error):
    words = ["--config=configs/vit_digits.py:debug", "--grid=seed=0,1"]
    _, said = main(
        *words[: 1 + (module == "vitjax.sweep")], *options.split(), module=module, code=1
    )
    assert re.search(error, said)
    assert said.count("\n") == 1


@pytest.mark.slow
def test_without_a_cluster_it_says_what_to_give():
    words = ["--config=configs/vit_digits.py:debug", "--distributed"]
    _, said = main_in_process_of_its_own(*words, code=1)
    assert said.startswith("error: --distributed finds no cluster; JAX knows TPU slices, SLURM")
    assert said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("process_id", [0, 1])
def test_who_waits_in_vain_says_so(process_id):
    join = f"processes.join('localhost:{free_port()}', 2, {process_id}, seconds=5)"
    words = [sys.executable, "-c", AGREE.replace("join()", join), "--distributed"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    assert done.returncode == 75, done.stderr
    assert re.fullmatch(
        r"error: not all processes met at localhost:\d+ within 5 s; .*\n", done.stderr
    )
