"""The files that start runs on clusters: their syntax, their fields, and their commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import REPO, ends, free_port, results, start_together

CLUSTER = REPO / "vitjax/docs/cluster"
SBATCH = CLUSTER / "slurm.sbatch"
DEBUG = "--config=configs/vit_digits.py:debug"

# Starts two tasks on this machine, as srun does on the nodes of a job.
SRUN = """#!/usr/bin/env bash
export SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=1 SLURM_NTASKS=2 highest=0
for i in 0 1; do SLURM_PROCID=$i SLURM_LOCALID=$i "$@" & tasks[i]=$!; done
for task in "${tasks[@]}"; do wait "$task"; code=$?; ((code > highest)) && highest=$code; done
exit "$highest"
"""


@pytest.fixture
def slurm(tmp_path):
    """Runs the script of a job, with stand-ins for the commands of SLURM."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def run(*words, srun=SRUN, **env):
        scontrol = f'#!/usr/bin/env bash\necho "$@" >> {tmp_path / "scontrol"}\n'
        for name, text in (("srun", srun), ("scontrol", scontrol)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        env |= {"PATH": path, "PYTHONPATH": str(REPO), "SLURM_JOB_ID": "7"}
        done = subprocess.run(
            ["bash", SBATCH, *words],
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | env,
            cwd=REPO,
            capture_output=True,
            text=True,
        )
        file = tmp_path / "scontrol"
        return done, file.read_text() if file.exists() else ""

    return run


def test_the_script_is_bash():
    subprocess.run(["bash", "-n", SBATCH], check=True)


def test_a_job_has_a_task_for_each_gpu_saves_in_time_and_can_queue_again():
    options = re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", SBATCH.read_text(), re.MULTILINE)
    assert len(options) == SBATCH.read_text().count("\n#SBATCH ")
    given = dict(options)
    assert given["ntasks-per-node"] == given["gpus-per-node"]
    assert given["signal"] == "TERM@120"
    assert given.keys() >= {"requeue", "time"}
    assert "gpus-per-task" not in given


@pytest.mark.parametrize(("code", "restarts", "again"), [
    (143, 0, True), (75, 3, True), (137, 20, False), (1, 0, False), (0, 0, False),
])  # fmt: skip
def test_a_job_that_saved_or_lost_a_process_is_queued_again(code, restarts, again, slurm):
    srun = f"#!/usr/bin/env bash\nexit {code}\n"
    done, asked = slurm("--workdir=w", srun=srun, SLURM_RESTART_COUNT=str(restarts))
    assert done.returncode == code
    assert asked == ("requeue 7\n" if again else "")


def test_a_job_needs_a_folder(slurm):
    done, _ = slurm(DEBUG)
    assert done.returncode == 2
    assert "give --workdir=FOLDER" in done.stderr


@pytest.mark.slow
def test_the_job_trains_as_slurm_starts_it(slurm, digits_run, tmp_path):
    port = str(free_port())
    done, asked = slurm(DEBUG, f"--workdir={tmp_path / 'run'}", JAX_COORDINATOR_PORT=port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "devices   2 x cpu" in done.stdout
    assert asked == ""
    for line, expected in zip(results(tmp_path / "run"), results(digits_run), strict=True):
        assert line == pytest.approx(expected, rel=0, abs=1e-5)


@pytest.fixture
def job():
    """The one job of the JobSet, and the container of its hosts."""
    jobset = yaml.safe_load((CLUSTER / "jobset.yaml").read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    assert jobset["metadata"].keys() >= {"name", "annotations"}
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    (replicated,) = jobset["spec"]["replicatedJobs"]
    assert replicated.keys() == {"name", "replicas", "template"}
    return replicated["template"]["spec"]


def test_the_jobset_is_one_slice_of_equal_hosts(job):
    assert job["completions"] == job["parallelism"]
    assert (job["completionMode"], job["backoffLimit"]) == ("Indexed", 0)
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    chips = container["resources"]["limits"]["google.com/tpu"]
    selector = pod["nodeSelector"]
    topology = selector["cloud.google.com/gke-tpu-topology"]
    sides = [int(side) for side in topology.split("x")]
    assert chips * job["parallelism"] == sides[0] * sides[1]
    assert selector["cloud.google.com/gke-tpu-accelerator"] == "tpu-v5-lite-podslice"
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.slow
def test_the_command_of_the_jobset_trains(job, digits_run, tmp_path):
    (container,) = job["template"]["spec"]["containers"]
    python, *words = container["command"]
    assert python == "python"
    changed = {"--config": DEBUG, "--workdir": f"--workdir={tmp_path}"}
    words = [changed.get(word.partition("=")[0], word) for word in words]
    for code, _, error in ends(start_together(2, sys.executable, *words)):
        assert code == 0, error
    assert "--distributed" in words
    for line, expected in zip(results(tmp_path), results(digits_run), strict=True):
        assert line == pytest.approx(expected, rel=0, abs=1e-5)


def test_commands_of_the_page_are_shell():
    page = (REPO / "vitjax/docs/hosts.md").read_text()
    assert shutil.which("bash")
    for block in re.findall(r"```(?:bash|text)\n(.*?)```", page, re.DOTALL):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
