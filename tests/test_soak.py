"""Many runs in one process: a short form of tests/soak.py, and its judgement."""

import importlib.util
import subprocess
import sys

import pytest
from commands import REPO, environment

spec = importlib.util.spec_from_file_location("soak", REPO / "tests/soak.py")
soak = importlib.util.module_from_spec(spec)
spec.loader.exec_module(soak)


def rounds(**changes):
    held = dict.fromkeys(("files", "threads", "arrays", "programs", "objects"), [20] * 32)
    held |= {"memory_mib": [500.0] * 32} | changes
    return [dict(zip(held, values, strict=True)) for values in zip(*held.values(), strict=True)]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"files": [99, 99, *[20] * 30]}, []),  # while it warms up
        ({"files": list(range(20, 52))}, ["files grew"]),
        ({"objects": list(range(0, 3200, 100))}, ["objects grew"]),
        ({"memory_mib": [500 + 4 * i for i in range(32)]}, ["memory_mib grew"]),
        ({"memory_mib": [500 + i % 3 * 20 for i in range(32)]}, []),
    ],
)
def test_growth_is_seen(changes, found):
    assert [" ".join(text.split()[:2]) for text in soak.grown(rounds(**changes))] == found


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process holds")
def test_nothing_grows(tmp_path):
    words = [sys.executable, "-m", "tests.soak", "--minutes=1", f"--output={tmp_path / 'soak'}"]
    done = subprocess.run(words, cwd=REPO, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((tmp_path / "soak").read_text().splitlines()) >= 5
