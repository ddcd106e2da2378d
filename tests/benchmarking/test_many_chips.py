"""What compilers predict of many chips: the command, its results, and the table made of them."""

import functools
import json

import jax
import pytest
from commands import main

from vitjax import models
from vitjax.benchmarking import compiler_suite, many_chips, prediction_tables
from vitjax.targets.figures import DoesNotFit, Figures

benchmark = functools.partial(main, module="vitjax.benchmark")


@pytest.fixture
def no_compiler(monkeypatch):
    """One device for a target's chips; made-up figures for a step; returns the steps."""
    seen = []
    figures = dict.fromkeys(Figures.__dataclass_fields__, 0)
    figures |= {"memory_bytes": 819 * 10**6, "peak_bytes": 2**31, "collective_bytes": 5 * 10**6}

    def compile_for(target, mesh, stage):
        seen.append(stage)
        return None, Figures(**figures)

    monkeypatch.setattr(many_chips, "devices_of", lambda target: jax.devices()[:1])
    monkeypatch.setattr(compiler_suite, "compile_for", compile_for)
    return seen


def test_predicts_a_model_on_many_chips(tmp_path, no_compiler):
    path = tmp_path / "many.json"
    words = ("--suite=many_chips", "--target=v5e:4x4", "--only=vit_galaxy_110421")
    out, _ = benchmark(*words, f"--json={path}")
    shares = "vit_galaxy_110421 on v5e:4x4, data 1 x fsdp 1"
    figures = "1.9 GiB of each chip, 5 MB sent, 1 ms at least, 1,024,000 images/s at most"
    assert f"{shares}: {figures}" in out
    written = json.loads(path.read_text())
    assert written["versions"]["jax"] == jax.__version__
    (case,) = written["cases"]
    assert (case["batch_size"], case["num_params"]) == (1024, 4_719_368)
    assert case["data_bytes"] == 1024 * 224 * 224 * 3
    assert [stage.loop for stage in no_compiler] == [True]


def test_large_models_have_the_published_sizes():
    def count(name):
        case = many_chips.CASES[name]
        model = models.create(case.model_name, case.num_classes, **case.options)
        return models.num_params(models.abstract_params(model, case.image_shape))

    assert (count("vit_b"), count("vit_l")) == (86_567_656, 304_326_632)


def test_what_does_not_fit_is_said(monkeypatch, no_compiler):
    def compile_for(target, mesh, stage):
        raise DoesNotFit("17.1 GiB", target.chip)

    monkeypatch.setattr(compiler_suite, "compile_for", compile_for)
    out, _ = benchmark("--suite=many_chips", "--only=linformer_galaxy_arxiv")
    assert "on v5e:4x4, data 1 x fsdp 1: needs 17.1 GiB of each chip\n" in out
    assert "on v5e:16x16, data 1 x fsdp 1: needs 17.1 GiB of each chip\n" in out


def case(step):
    known = {"name": "vit", "target": "v5e:4x4", "data": 4, "fsdp": 4, "batch_size": 1024}
    return {**known, "num_params": 12_345, "data_bytes": 2**30, "step": step}


def test_the_table_of_recorded_predictions(tmp_path):
    fits = {"peak_bytes": 2**32, "collective_bytes": 5_000_000, "bound_seconds": 2e-3}
    cases = [case(fits), case({"does_not_fit": "17.1 GiB"})]
    found = {"command": "made up", "versions": {"jax": "1"}}
    (tmp_path / "many_chips_16.json").write_text(json.dumps({**found, "cases": cases}))
    more = {**cases[0], "data": 64, "name": "more"}
    (tmp_path / "many_chips_256.json").write_text(json.dumps({**found, "cases": [more]}))
    text = prediction_tables.many_chips(tmp_path)
    assert text.startswith("`made up`; jax 1\n\n`made up`; jax 1\n\n| model |")
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [row[:6] for row in rows] == ["| vit ", "| vit ", "| more"]
    known = "| vit | 12,345 | v5e:4x4 | 4 x 4 | 1,024 |"
    assert rows[0] == f"{known} 3.0 GiB | 5 MB | 2 ms | 512,000 |"
    assert rows[1].startswith(f"{known} needs 17.1 GiB |")
    assert {row.count("|") for row in rows} == {head.count("|")}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--only=vit_h", "--only=vit_h is not in the suite, which has vit_b, vit_l, vit_galaxy"),
        ("--target=h200x8", "--target=h200x8 is for another suite than --suite=many_chips"),
    ],
)
def test_mistakes_are_answered_in_one_line(word, message):
    _, error = benchmark("--suite=many_chips", word, code=1)
    assert message in error
    assert error.count("\n") == 1
