"""The report command on a run of real digits."""

import subprocess
import sys

from runs import REPO, environment


def report(*args, code=0):
    """Runs vitjax.report and returns (stdout, stderr); its exit code must be `code`."""
    command = [sys.executable, "-m", "vitjax.report", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=REPO)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr
