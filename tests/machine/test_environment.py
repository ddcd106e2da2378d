"""What the environment has for a command is taken, or refused in one line."""

import io
import re
import subprocess
import sys

import pytest
from commands import call, environment, main_in_process_of_its_own

from vitjax.text import json_line

WRONG = {
    "JAX_NUM_CPU_DEVICES": ["abc", "", "0", "99999999", "\u00b2"],
    "JAX_ENABLE_COMPILATION_CACHE": ["maybe", ""],
    "JAX_COMPILATION_CACHE_DIR": [__file__],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_variable_is_named(name, value):
    code, _, error = call("--workdir=none", module="vitjax.evaluate", **{name: value})
    assert code == 1
    assert error.startswith(f"error: {name}={value!r} in the environment ")
    assert error.count("\n") == 1


def test_a_platform_that_is_not_there_is_named(digits_run):
    words = f"--workdir={digits_run}", "--split=valid"
    _, error = main_in_process_of_its_own(
        *words, module="vitjax.evaluate", code=1, JAX_PLATFORMS="foo"
    )
    assert re.fullmatch(
        r"error: JAX finds no such devices \(.+\); change JAX_PLATFORMS='foo'\n", error
    )


@pytest.mark.slow
def test_a_backend_of_plots_that_is_not_there_does_not_matter(own_run):
    main_in_process_of_its_own(
        f"--workdir={own_run}", module="vitjax.report", MPLBACKEND="no such backend"
    )
    assert (own_run / "report" / "reliability.png").exists()


@pytest.mark.slow
def test_where_programs_cannot_be_kept_nothing_is_said(digits_run):
    env = {"HOME": "/dev/null", "XDG_CACHE_HOME": ""}
    _, error = main_in_process_of_its_own(
        f"--workdir={digits_run}", "--split=valid", module="vitjax.evaluate", **env
    )
    assert "arning" not in error


@pytest.mark.parametrize(("value", "shows"), [("0", False), ("1", True)])
def test_tracebacks_are_shown_where_asked_for(value, shows):
    _, _, error = call("--workdir=none", module="vitjax.evaluate", VITJAX_TRACEBACK=value)
    assert ("Traceback" in error) == shows


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the current folder of a process")
def test_a_current_folder_that_is_gone_is_said(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir {gone}; exec {sys.executable} -m vitjax.runs"
    done = subprocess.run(
        ["sh", "-c", script], cwd=gone, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: the current folder is gone; change to another\n",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="others may not keep to such limits")
@pytest.mark.parametrize(("letter", "taken"), [("v", "2"), ("d", "0.9")])
def test_a_limit_that_leaves_jax_too_little_is_said(letter, taken):
    script = f"ulimit -{letter} 819200; exec {sys.executable} -m vitjax.main"
    done = subprocess.run(["sh", "-c", script], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        f"error: ulimit -{letter} leaves this process 0.781 GiB, of which JAX takes {taken} before "
        "any array; raise it\n",
    )


def test_nobody_watches_a_process_without_a_pipe():
    script = "from vitjax.machine import supervise; print(supervise.is_child())"
    words = [sys.executable, "-c", script]
    env = environment(VITJAX_SUPERVISED="1")
    alone = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert alone.stdout == "False\n"
    watched = subprocess.run(words, env=env, input="", capture_output=True, text=True)
    assert watched.stdout == "True\n"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", '"\u00e9"'), ("ascii", '"\\u00e9"'), ("cp1252", '"\u00e9"')],
)
def test_json_is_json_in_any_encoding(encoding, expected, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert json_line("\u00e9") == expected
    assert json_line("\U0001f600") == ('"\U0001f600"' if encoding == "utf-8" else r'"\ud83d\ude00"')
    assert json_line("\udcff") == r'"\udcff"'
