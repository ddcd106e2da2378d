"""What compilers predict of the suite: the command, its results, and the page made of them."""

import functools
import importlib.util
import json

import jax
import pytest
from commands import main

from vitjax import config_file
from vitjax.benchmarking import compiler_suite, prediction_tables
from vitjax.targets import chips
from vitjax.targets.figures import DoesNotFit, Figures
from vitjax.training.placement.sharding import make_mesh

STAGES = ["gather", "augment", "forward", "gradients", "update", "epoch", "evaluate"]
benchmark = functools.partial(main, module="vitjax.benchmark")


def made_up(memory_bytes):
    return Figures(
        compile_seconds=12.0,
        code_bytes=3_000_000,
        argument_bytes=0,
        temp_bytes=2**20,
        peak_bytes=2 * 10**9,
        bytes=3e9,
        memory_bytes=memory_bytes,
        once_bytes=0,
        flops=4.56e9,
        cycles=3_000_000,
        num_ops=1234,
        collective_bytes=0,
        alone_bytes=0,
        largest_bytes=100,
        padded_bytes=150,
    )


@pytest.fixture
def no_compiler(monkeypatch):
    """The devices of this machine for a target's; a figure for a stage; returns the stages."""
    seen = []

    def compile_for(target, mesh, stage):
        seen.append(stage)
        return None, made_up(819_000_000)  # 1 ms of a v5e

    monkeypatch.setattr(compiler_suite, "devices_of", lambda target: jax.devices()[:1])
    monkeypatch.setattr(compiler_suite, "compile_for", compile_for)
    return seen


def test_predicts_a_model_of_the_suite(tmp_path, no_compiler):
    path = tmp_path / "tpu.json"
    out, _ = benchmark("--suite=tpu", "--only=vit_light", f"--json={path}")
    assert "vit_light: a step takes 1 ms at least, 2 ms by the compiler's estimate" in out
    assert "16,000 images/s; 4.6 GFLOP" in out
    assert "1,234 operations, padded 1.50 times, peak 2.00 GB, code 3.0 MB, compiled in 12 s" in out
    assert "  MB of memory by stage: gather 819.0, augment 819.0, forward" in out
    written = json.loads(path.read_text())
    assert (written["suite"], written["target"]) == ("tpu", "v5e:1x1")
    assert written["versions"]["jax"] == jax.__version__
    (case,) = written["cases"]
    assert (case["name"], case["batch_size"], case["num_params"]) == ("vit_light", 32, 1_994)
    assert list(case["stages"]) == STAGES
    stage = case["stages"]["gather"]
    assert stage["bound_seconds"] == pytest.approx(1e-3)
    for name in ("bytes", "memory_bytes", "flops", "temp_bytes", "compile_seconds", "num_ops"):
        assert name in stage
    assert [stage.loop for stage in no_compiler] == [False] * 5 + [True] * 2


def test_what_does_not_fit_is_recorded(tmp_path, no_compiler, monkeypatch):
    def compile_for(target, mesh, stage):
        if stage.loop:
            raise DoesNotFit("37.25 GiB", target.chip)
        return None, made_up(1)

    monkeypatch.setattr(compiler_suite, "compile_for", compile_for)
    path = tmp_path / "gpu.json"
    out, _ = benchmark("--suite=gpu", "--target=t4", "--only=vit_light", f"--json={path}")
    assert "vit_light: a step needs 37.25 GiB, which t4 lacks" in out
    (case,) = json.loads(path.read_text())["cases"]
    assert case["stages"]["epoch"] == {"does_not_fit": "37.25 GiB"}


@pytest.mark.parametrize("name", compiler_suite.CONFIGS)
def test_the_suite_fine_tunes_what_the_configs_do(name):
    target = chips.parse("v5e")
    of = compiler_suite.work(name, target, make_mesh(jax.devices()[:1]), config_file.load_config)
    config = config_file.load_config(name)
    assert of.stored_shape == (32, 32, 3)
    assert of.recipe.image_shape == (224, 224, 3)
    assert of.recipe.model.dtype == "bfloat16"
    assert of.recipe.num_examples == 45_000
    assert of.recipe.train_only == config.finetune.train_only


def test_data_are_cut_to_a_quarter_of_the_memory():
    target = chips.parse("v5e")
    mesh = make_mesh(jax.devices()[:1])
    of = compiler_suite.work("vit_base_224", target, mesh, config_file.load_config)
    taken = of.recipe.num_examples * 224 * 224 * 3
    assert 0.24 < taken / target.chip.memory <= 0.25


def results(**changes):
    stages = {name: {"memory_bytes": 1_500_000} for name in STAGES}
    stages["epoch"] = {
        **{"memory_bytes": 5_000_000, "bound_seconds": 2e-3, "flops": 4.56e9, "num_ops": 1234},
        **{
            "padding": 1.5,
            "estimated_seconds": 4e-3,
            "peak_bytes": 2e9,
            "code_bytes": 3e6,
            "compile_seconds": 12.0,
        },
    }
    case = {"name": "vit", "target": "v5e:1x1", "batch_size": 64, "stages": {**stages, **changes}}
    return {"command": "made up", "target": "v5e:1x1", "versions": {"jax": "1"}, "cases": [case]}


def test_the_page_of_recorded_predictions(tmp_path):
    (tmp_path / "tpu_v5e.json").write_text(json.dumps(results()))
    page = "\n".join(prediction_tables.sections(tmp_path))
    assert "Nothing below was measured" in page
    assert "`made up` for v5e:1x1; jax 1:" in page
    assert "| vit | 64 | 2 ms | 4 ms | 16,000 | 4.6 | 5.0 MB | 1.50 | 1,234 | 2.00 GB | " in page
    assert "| vit | 1.5 | 1.5 | 1.5 | 1.5 | 1.5 | 1.5 |" in page
    pending = "Pending: `python -m vitjax.benchmark --suite=gpu --json=vitjax/benchmarking/results/"
    assert f"{pending}gpu_h200.json`" in page
    assert "--suite=tpu" not in page


def test_the_page_of_what_does_not_fit(tmp_path):
    missing = {"does_not_fit": "37.25 GiB"}
    (tmp_path / "gpu_h200.json").write_text(json.dumps(results(epoch=missing, evaluate=missing)))
    lines = prediction_tables.sections(tmp_path)
    (row,) = (line for line in lines if line.startswith("| vit | 64 |"))
    (head,) = (line for line in lines if line.startswith("| model |"))
    assert "needs 37.25 GiB" in row
    assert row.count("|") == head.count("|")
    assert "| vit | 1.5 | 1.5 | 1.5 | 1.5 | 1.5 | does not fit |" in lines


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--suite=tpu", "--only=vit_lite"), "--only=vit_lite is not in the suite, which has vit_"),
        (("--suite=tpu", "--target=v5"), "--target=v5 is unknown; expected one of v5e, v6e"),
        (("--suite=tpu", "--target=h200"), "--target=h200 is for another suite than --suite=tpu"),
        (("--target=v5e",), "--target=v5e is for --suite=tpu, gpu and many_chips"),
        (("--suite=tpu",), "compiling for v5e:1x1 needs libtpu: pip install '.[tpu]'"),
        (("--suite=gpu",), "compiling for h200 needs jax_cuda12_plugin: pip install '.[cuda]'"),
        (("--suite=tpu", "--peers"), "--peers works with --suite=seeds"),
    ],
)
def test_mistakes_are_answered_in_one_line(args, message, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _, error = benchmark(*args, code=1)
    assert message in error
    assert error.count("\n") == 1
