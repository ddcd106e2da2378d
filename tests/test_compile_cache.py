"""Compiled programs that are kept."""

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp
from vitjax.compile_cache import use_compile_cache

use_compile_cache()
use_compile_cache()  # as each command of a process does
print(jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8))).sum())
"""


def test_a_program_cut_by_a_kill_is_compiled_and_kept_again(tmp_path):
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    said = []
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
        )
        said.append((run.stdout, run.stderr))
        kept = {path.name: path.stat().st_size for path in tmp_path.glob("jit_*-cache")}
        if len(said) == 1:
            first = kept
            for name, size in kept.items():
                os.truncate(tmp_path / name, size // 2)
    assert first
    assert said[0] == said[1]
    assert kept == first
