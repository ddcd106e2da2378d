"""SIGTERM and Ctrl-C end a command at any moment, with one line and the documented exit code."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import REPO, command, environment

LINE = {
    signal.SIGINT: r"(interrupted|SIGINT: saved at step \d+; go on with .*)\n",
    signal.SIGTERM: r"(terminated|SIGTERM: saved at step \d+; go on with .*)\n",
    signal.SIGHUP: r"(hung up|SIGHUP: saved at step \d+; go on with .*)\n",
}
WORDS = ["--config=configs/vit_digits.py:debug", "--config.num_epochs=100000"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens")


def start(*words, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, env=environment(), cwd=REPO, **pipes, **options)


def wait_until_it_listens(process):
    """Returns when a handler of SIGTERM is there, which Python has none of."""
    while process.poll() is None:
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
        if int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
    raise AssertionError(process.communicate())


def end(process, number, *, line=None):
    """Sends a signal to a process, which must end with its line; returns what else it has said."""
    process.send_signal(number)
    try:
        output, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert re.fullmatch(line or LINE[number], error), error
    assert process.returncode == 128 + number
    return output


def moments(count, seconds):
    """Random moments, and at the first of them one of each kind of signal."""
    draw = random.Random(count)
    kinds = list(LINE)
    return [(draw.uniform(0, seconds), kinds[i % len(kinds)]) for i in range(count)]


@linux
@pytest.mark.parametrize(
    ("delay", "number"),
    [(0.0, signal.SIGINT), *moments(3, 1.0)]
    + [pytest.param(*m, marks=pytest.mark.long) for m in moments(50, 4.0)],
)
@pytest.mark.usefixtures("heard_hangups")
def test_a_signal_at_any_moment_ends_training(delay, number, tmp_path):
    process = start(*command(*WORDS, f"--workdir={tmp_path / 'run'}"))
    wait_until_it_listens(process)
    time.sleep(delay)
    end(process, number)


BUSY = """
import time
from vitjax import cli

def main():
    print("begun", flush=True)
    {}
    return 0

raise SystemExit(cli.Command("").run(main, None))
"""
DEAF = {  # what the main thread does while the signal comes
    "a callback that swallows exceptions": (
        "class Slow:\n        def __del__(self): time.sleep(100)\n    Slow()"
    ),
    "a call of the system that begins again": "import select; [select.select([], [], [], 100)]",
    "a call that keeps the interpreter": "sum(range(10**7))\n    time.sleep(100)",
    "an exception that is caught": (
        "for _ in range(100):\n        try: time.sleep(1)\n        except BaseException: pass"
    ),
}


@pytest.mark.parametrize("what", DEAF)
def test_the_main_thread_need_not_listen(what):
    process = start(sys.executable, "-c", BUSY.format(DEAF[what]))
    assert process.stdout.readline() == "begun\n"
    end(process, signal.SIGINT, line="interrupted\n")


def test_what_is_left_to_fork_ends_by_itself():
    code = (
        "import os; pid = os.fork()\n"
        "    if not pid: time.sleep(100)\n"
        "    os.kill(pid, 15); print(os.waitpid(pid, 0)[1], flush=True); time.sleep(100)"
    )
    # Python 3.12 warns of fork beside threads.
    process = start(sys.executable, "-W", "ignore", "-c", BUSY.format(code))
    assert [process.stdout.readline(), process.stdout.readline()] == ["begun\n", "15\n"]
    end(process, signal.SIGTERM, line="terminated\n")


def test_a_second_interrupt_gives_up_saving():
    code = (
        "from vitjax.machine.signals import SignalWatch\n"
        "    with SignalWatch(lambda text: print(text, flush=True)): time.sleep(100)"
    )
    process = start(sys.executable, "-c", BUSY.format(code))
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().startswith("stopping: saving first")
    end(process, signal.SIGINT, line="interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_though_nobody_reads_the_output(number):
    """As of `| tee log`, which Ctrl-C ends first."""
    code = (
        "import sys; from vitjax.machine.signals import SignalWatch\n"
        "    with SignalWatch(lambda text: print(text, flush=True)) as watch:\n"
        "        for _ in range(2000): time.sleep(0 if watch.received else 0.01)\n"
        "    print('heard', watch.received, file=sys.stderr, flush=True); time.sleep(100)"
    )
    process = start(sys.executable, "-c", BUSY.format(code))
    process.stdout.readline()
    process.stdout.close()
    time.sleep(0.3)
    process.send_signal(number)
    assert process.stderr.readline() == f"heard {number:d}\n"
    process.stdout = None  # or it is read
    end(process, signal.SIGINT, line="interrupted\n")


def test_nohup_keeps_it_running_when_its_terminal_closes():
    ignores = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code = "time.sleep(0.5); print('still there', flush=True)"
    process = start(sys.executable, "-c", ignores + BUSY.format(code))
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60) == ("still there\n", "")
    assert process.returncode == 0


def test_a_terminal_that_is_gone_ends_nothing():
    try:
        ours, theirs = os.openpty()
    except OSError as error:
        pytest.skip(f"there are no terminals to open: {error.strerror}")
    code = "time.sleep(0.5); print('to nobody', flush=True); print('done', file=sys.stderr)"
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys\n" + BUSY.format(code)],
        env=environment(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    assert os.read(ours, 5) == b"begun"
    os.close(ours)
    assert process.communicate(timeout=60)[1] == "done\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_cleans_up_may_do_so(number, heard_hangups):
    code = (
        "from vitjax import signals\n"
        "    with signals.raised():\n"
        "        try: print('at it', flush=True); time.sleep(100)\n"
        "        finally: time.sleep(0.3); print('cleaned up', flush=True)"
    )
    process = start(sys.executable, "-c", BUSY.format(code))
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n", "at it\n"]
    words = "(interrupted|terminated|hung up)\n"
    assert end(process, number, line=words) == "cleaned up\n"


def test_what_is_raised_ends_the_process_though_its_threads_go_on():
    code = (
        "from concurrent.futures import ThreadPoolExecutor; from vitjax import signals\n"
        "    with signals.raised():\n"
        "        download = ThreadPoolExecutor().submit(time.sleep, 100)\n"
        "        print('at it', flush=True); download.result()"
    )
    process = start(sys.executable, "-c", BUSY.format(code))
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n", "at it\n"]
    end(process, signal.SIGTERM, line="terminated\n")


@linux
def test_the_command_vitjax_listens_from_its_first_import_on(tmp_path):
    (tmp_path / "vitjax").write_text(
        "import vitjax, time; print('begun', flush=True); time.sleep(99)"
    )
    process = start(sys.executable, str(tmp_path / "vitjax"))
    assert process.stdout.readline() == "begun\n"
    end(process, signal.SIGINT, line="interrupted\n")


def test_a_temporary_folder_is_removed_at_a_signal(tmp_path):
    code = (
        "from pathlib import Path; from vitjax.machine.temporary import temporary_folder\n"
        f"    with temporary_folder(Path({str(tmp_path)!r})):\n"
        "        print('made', flush=True); time.sleep(99)"
    )
    process = start(sys.executable, "-c", BUSY.format(code))
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n", "made\n"]
    assert len([*tmp_path.iterdir()]) == 1
    end(process, signal.SIGINT, line="interrupted\n")
    assert not [*tmp_path.iterdir()]
