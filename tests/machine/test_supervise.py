"""What is said of a process that JAX's runtime has ended, in the words of three of its versions."""

import io
import signal
import subprocess
import sys

import pytest
from commands import environment

from vitjax.machine import supervise

WORDS = b"\0error: {lost} of 4 was lost\n"
FATAL = (
    b"F1129 client.h:80] Terminating process because the JAX distributed service detected fatal\n"
)
SILENT = b"""\
E1129 coordination_service.cc:1549] Use error polling to propagate the following error to all
tasks: UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats):
1
%s
The tasks have crashed. Check the task logs for an earlier error.
E1129 coordination_service_agent.cc:289] Polled an error from coordination service.
"""
ENDS = {
    "process 0": b"E1129 coordination_service_agent.cc:332] Polled an error\n"
    + FATAL
    + b"Failed to send RPC. Either the leader task died\n*** Check failure stack trace:\n",
    "process 1, 3": SILENT % b"3" + FATAL + b"    @     0x7f08f5e40634  absl::SendToLog()\n",
    "process 1, 2": SILENT % b"/job:jax_worker/replica:0/task:2" + FATAL,
    "another process": FATAL,
}


def passed_on(text):
    sink = io.BytesIO()
    relay = supervise.Relay(io.BytesIO(text), sink)
    relay.pass_on()
    return relay.end(), sink.getvalue()


@pytest.mark.parametrize("who", ENDS)
def test_one_line_says_who_was_lost(who):
    lost, said = passed_on(b"W1129 a warning\n" + WORDS + ENDS[who])
    assert lost
    assert said.decode() == f"W1129 a warning\nerror: {who} of 4 was lost\n"


def test_all_else_is_passed_on():
    text = b"a warning\n" + SILENT % b"2" + b"a traceback\n"
    assert passed_on(WORDS + text) == (False, text)


CHILD = """
import os, signal, sys, time
from vitjax import cli

command = cli.Command("")
command.group()

def main():
    print("begun", flush=True)
    {}

sys.exit(command.run(main, None))
"""


def start(code):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(code), "--nodistributed", "--num_processes=1"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_exit_codes_are_passed_on():
    process = start("return 3")
    process.communicate()
    assert process.returncode == 3


def test_a_killed_child_is_told_of():
    process = start("os.kill(os.getpid(), signal.SIGKILL)")
    _, error = process.communicate()
    assert (process.returncode, error) == (137, "error: ended by SIGKILL (out of memory?)\n")


def test_signals_reach_the_child():
    process = start("time.sleep(100)")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "interrupted\n")


def test_the_child_ends_with_a_killed_parent():
    process = start("time.sleep(100)")
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)  # returns when nobody holds its output open any more
    assert process.returncode == -signal.SIGKILL
