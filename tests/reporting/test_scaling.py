"""The attention suite's figure, from points small enough to divide by hand."""

import subprocess
import sys

from commands import REPO, environment

from vitjax.reporting.figures import svg
from vitjax.reporting.scaling import scaling_picture


def point(tokens, vit, linformer):
    """A point of the suite's JSON, from step times in seconds."""

    def of(seconds):
        times = {"low": seconds / 2, "median": seconds, "high": 2 * seconds}
        return {"step_seconds": times, "peak_bytes": {"predicted": tokens * 2**20}}

    return {"tokens": tokens, "batch_size": 3, "vit": of(vit), "linformer": of(linformer)}


def test_the_text_gives_both_ends():
    picture = scaling_picture([point(65, 1, 2), point(257, 3, 2), point(1025, 9, 3)], "abacus")
    assert "at 65 tokens ViT's step takes 0.50 times Linformer's" in picture.alt
    assert "at 1,025 tokens ViT's step takes 3.00 times Linformer's" in picture.alt
    assert "257" not in picture.alt


def test_the_figure_names_tokens_batch_and_hardware():
    drawing = svg(scaling_picture([point(1025, 1, 2)], "abacus").figure, "a")
    assert drawing.count(">1,025<") == 2
    assert "batch 3 on abacus" in drawing


def test_the_seeds_suite_has_no_such_figure(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "vitjax.benchmark", f"--plot={tmp_path / 'a.png'}"],
        capture_output=True, text=True, env=environment(), cwd=REPO,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: --plot is for --suite=attention; --suite=seeds was given\n"
