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

    def run():
        """Returns what the program says, and the sizes of the files that are kept then."""
        words = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
        files = tmp_path.glob("jit_*-cache")
        return (done.stdout, done.stderr), {path.name: path.stat().st_size for path in files}

    said, whole = run()
    for name, size in whole.items():
        os.truncate(tmp_path / name, size // 2)
    said_then, kept = run()
    assert said_then == said
    assert kept.keys() == whole.keys() != set()
    assert all(kept[name] > 0.9 * whole[name] for name in whole)  # they hold times as well
