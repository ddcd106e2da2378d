"""Checkpoints of processes that write at the same time."""

import subprocess
import sys

from commands import ends, environment, free_port

SAVE_ALONE = """
import sys
from pathlib import Path
import jax, numpy as np
from vitjax.runs.checkpoints import Checkpoints

folder, port, me = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(me))
for i in range(5):
    checkpoints = Checkpoints(Path(folder) / f"{me}-{i}", alone=True)
    for step in (1, 2):
        checkpoints.save(step, {"x": np.full(1000, step)})
    checkpoints.close()
    assert checkpoints.steps() == [1, 2]
"""


def test_processes_that_save_alone_do_not_wait_for_each_other(tmp_path):
    words = [sys.executable, "-c", SAVE_ALONE, str(tmp_path), str(free_port())]
    env = environment(JAX_NUM_CPU_DEVICES="1")
    both = [subprocess.Popen([*words, str(i)], env=env, stderr=subprocess.PIPE) for i in range(2)]
    for code, _, error in ends(both):
        assert code == 0, error.decode()
