"""What tests of whole runs share: starting them and reading their folders."""

import contextlib
import importlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import orbax.checkpoint as ocp

REPO = Path(__file__).parents[1]
PACKAGES = (
    "vitjax.published",
    "vitjax.pretrained",
    "vitjax.runs",
)  # whose command is their __main__


def command(*args, module="vitjax.main"):
    return [sys.executable, "-m", module, *map(str, args)]


def environment(**changes):
    return os.environ | {"PYTHONPATH": str(REPO)} | changes


def main(*args, code=0, **options):
    """Runs a command in this process as `call` does; returns (stdout, stderr).

    Its exit code must be `code`; None: that of a mistake.
    """
    found, out, err = call(*args, **options)
    assert found in ((1, 2) if code is None else (code,)), out + err
    return out, err


def call(*args, module="vitjax.main", cwd=REPO, stdin="", **env):
    """Runs a command in this process; returns (exit code, stdout, stderr)."""
    name = f"{module}.__main__" if module in PACKAGES else module
    out, err, before = io.StringIO(), io.StringIO(), os.getcwd()
    with (
        mock.patch.dict(os.environ, env),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        os.chdir(cwd)
        try:
            found = importlib.import_module(name).run(list(map(str, args)))
        finally:
            os.chdir(before)
    return found, out.getvalue(), err.getvalue()


def main_in_process_of_its_own(*args, module="vitjax.main", code=0, cwd=REPO, stdin="", **env):
    """As `main`, for what depends on how a process begins or ends, and for what trains long.

    The process of the tests compiles quickly, and so computes slowly.
    """
    done = subprocess.run(
        command(*args, module=module),
        capture_output=True,
        text=True,
        env=environment(**env),
        cwd=cwd,
        input=stdin,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def free_port():
    """A port that no process listens on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def start_together(count, *words, of_last=(), **env):
    """Starts a command line in `count` processes that share its run; the last has words more."""
    shared = [f"--coordinator=localhost:{free_port()}", f"--num_processes={count}"]
    env = environment(JAX_NUM_CPU_DEVICES="1", **env)
    return [
        subprocess.Popen(
            [*words, *shared, f"--process_id={i}", *(of_last if i == count - 1 else ())],
            env=env,
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]


def ends(processes, timeout=500):
    """Waits until processes have ended; returns their exit codes, outputs and errors."""
    try:
        said = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, said, strict=True)]


def wait_for_epochs(count, workdir, processes):
    """Returns when a run has written the lines of `count` epochs, or a process has ended."""
    file, until = workdir / "metrics.jsonl", time.monotonic() + 200
    while time.monotonic() < until and all(process.poll() is None for process in processes):
        if file.exists() and file.read_text().count("\n") >= count:
            return
        time.sleep(0.02)
    raise AssertionError([process.communicate(timeout=60) for process in processes])


def lines(workdir):
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def results(workdir):
    """The lines of metrics.jsonl without what depends on the clock."""
    clock = ("seconds", "images_per_second", "data_wait")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines(workdir)]


def steps(workdir):
    """The steps that have a checkpoint."""
    return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir() if p.name.isdigit())


def as_of_before(workdir):
    """Makes the manifests what they were when they told nothing of the run's files."""
    for path in (workdir / "checkpoints").glob("*/manifest.json"):
        path.write_text(json.dumps(json.loads(path.read_text())["files"]))


def newest_params(workdir):
    """The parameters of the newest checkpoint, as arrays."""
    path = (workdir / "checkpoints" / str(steps(workdir)[-1]) / "default").absolute()
    checkpointer = ocp.PyTreeCheckpointer()
    as_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
        dict(checkpointer.metadata(path).item_metadata.tree),
    )
    return checkpointer.restore(path, restore_args=as_numpy)["params"]


def events(folder):
    """The events of TensorBoard in a folder."""
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
    """The numbers among them: (step, name, value)."""
    return [(e.step, v.tag, v.simple_value) for e in events(folder) for v in e.summary.value]
