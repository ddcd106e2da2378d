"""The benchmark measures what it says; its figures come from its files."""

import dataclasses
import functools
import importlib.util
import json
import re

import jax
import jax.numpy as jnp
import pytest
from commands import REPO, main, main_in_process_of_its_own

from vitjax import config_file, models
from vitjax.benchmarking import (
    measure,
    member_scaling,
    prediction_tables,
    profile,
    speed_tables,
    start,
    suites,
    token_scaling,
)
from vitjax.benchmarking.cases import SEEDS
from vitjax.benchmarking.ours import make_recipe
from vitjax.benchmarking.worker import PeerError, Worker

CONFIGS = {  # of the suite's models
    "vit_mnist": "vit_mnist.py",
    "vit_light": "vit_light.py:mnist",
    "mixer_mnist": "mixer_mnist.py",
    "vit_cifar100_4p4l": "vit_cifar100.py:4p4l",
    "vit_cifar100_4p8l": "vit_cifar100.py:4p8l",
    "vit_galaxy_110421": "vit_galaxy_zoo2.py:110421",
    "linformer_galaxy_arxiv": "linformer_galaxy_zoo2.py:arXiv",
}
STARTS = ("stem", "kernel_init", "qkv_init", "out_init", "embedding_std", "clone_layers")


benchmark = functools.partial(main, module="vitjax.benchmark")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_suite_trains_what_the_configs_train(name):
    """All options that change the step's work are equal; how parameters begin may differ."""
    config, case = config_file.load_config(f"configs/{CONFIGS[name]}"), SEEDS[name]
    theirs = dict(config.model)
    ours = models.defaults(case.model_name) | case.options
    for option in STARTS:
        theirs.pop(option, None)
        ours.pop(option, None)
    assert ours == theirs
    assert (case.batch_size, case.optimizer) == (config.data.batch_size, config.optim.name)
    assert case.optimizer_options["learning_rate"] == config.optim.learning_rate
    assert {k: config.data.augment[k] for k in case.augment} == dict(case.augment)


def test_every_case_is_a_config_or_for_gpus():
    assert set(CONFIGS) == {name for name, case in SEEDS.items() if not case.gpu_only}
    recipe = make_recipe(SEEDS["vit_base_224"], jnp.bfloat16)
    params = models.abstract_params(recipe.model, recipe.image_shape)
    assert models.num_params(params) == 85_804_808


def test_turns_alternate_and_the_first_does_not_count():
    calls = []
    clock = iter(range(100))

    def trainer(name):
        def turn():
            calls.append(name)
            return float(next(clock))

        return turn

    said = measure.in_turn({"a": trainer("a"), "b": trainer("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert said == {"a": [2.0, 4.0], "b": [3.0, 5.0]}
    assert measure.ratio(said["b"], said["a"]) == (3 / 2 + 5 / 4) / 2
    assert measure.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}


def point(tokens, vit, linformer):
    def of(seconds):
        return {"step_seconds": {"median": seconds}, "peak_bytes": {"predicted": 2**20}}

    return {"tokens": tokens, "batch_size": 1, "vit": of(vit), "linformer": of(linformer)}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([(1, 2), (2, 2), (4, 3), (9, 4)], 300),
        ([(3, 2), (1, 2), (4, 3), (9, 4)], 300),  # faster, slower, faster for good
        ([(1, 2), (2, 3), (3, 4), (4, 5)], None),
    ],
)
def test_where_linear_attention_begins_to_pay(seconds, expected):
    points = [point(100 * (i + 1), *pair) for i, pair in enumerate(seconds)]
    assert token_scaling.crossing(points) == expected


@pytest.mark.slow
def test_measures_a_model_of_the_suite(tmp_path, monkeypatch):
    fewer = dataclasses.replace(SEEDS["vit_light"], cpu_num_train=640, cpu_num_test=256)
    monkeypatch.setitem(SEEDS, "vit_light", fewer)
    path = tmp_path / "out.json"
    out, _ = benchmark("--only=vit_light", "--rounds=1", f"--json={path}")
    assert "vit_light: 1,994 parameters, 163,152 MACs, batch 32" in out
    written = json.loads(path.read_text())
    assert written["command"].startswith("python -m vitjax.benchmark --only=vit_light --rounds=1")
    result = written["results"]["vit_light"]
    flops = 6 * 163_152 * 32 / result["step_seconds"]["median"]
    assert result["flops_per_second"] == pytest.approx(flops)
    assert result["share_of_matmul_peak"] == pytest.approx(flops / written["matmul_peak"])
    assert 0 < result["share_outside_products"] < 1
    assert min(result["compile_seconds"]["cached"], result["compile_seconds"]["cold"]) > 0


def test_products_are_not_of_the_time_outside_products():
    square = jnp.ones((600, 600))

    def share(function):
        compiled = jax.jit(function).lower(square).compile()

        def run():
            compiled(square).block_until_ready()
            return 60.0

        return profile.share_outside_products(compiled, run)

    assert share(lambda x: x @ x) == 0
    assert 0 < share(lambda x: jnp.sort(x, axis=0)) < 1
    assert 0 < share(lambda x: jnp.sort(x @ x, axis=0)) < 1


@pytest.mark.slow
def test_measures_a_config():
    out, _ = benchmark("--config=configs/vit_digits.py:debug", "--rounds=1")
    config = config_file.load_config("configs/vit_digits.py:debug")
    model = models.create("vit", 10, **config.model)
    count = models.num_params(models.abstract_params(model, (32, 32, 1)))
    assert f"vit: {count:,} parameters" in out


@pytest.mark.slow
def test_a_config_that_diverges_is_told():
    words = "--config.optim.name=sgd", "--config.optim.learning_rate=1e30"
    _, err = benchmark("--config=configs/vit_digits.py:debug", "--rounds=1", *words, code=1)
    assert re.search(r"error: the numbers of step \d+ are not finite.*learning_rate$", err.strip())


@pytest.mark.slow
def test_measures_attention(tmp_path):
    path = tmp_path / "out.json"
    out, _ = benchmark("--suite=attention", "--only=8", "--rounds=1", f"--json={path}")
    assert "| 65 |" in out
    assert json.loads(path.read_text())["points"][0]["tokens"] == 65


@pytest.mark.slow
def test_measures_a_sweep(monkeypatch):
    monkeypatch.setattr(member_scaling, "STEPS", 5)
    said = []
    results = suites.sweep(["9"], 1, said.append)
    assert "| 9 |" in said[0]
    (point,) = results["points"]
    seconds = {name: s["median"] for name, s in point["step_seconds"].items()}
    assert point["times_faster"] == pytest.approx(9 * seconds["alone"] / seconds["together"])


@pytest.mark.long
def test_the_command_measures_a_sweep_on_a_device_per_core():
    args = "--suite=sweep", "--only=9", "--rounds=1"
    out, _ = main_in_process_of_its_own(*args, module="vitjax.benchmark")
    assert "| 9 |" in out


@pytest.mark.long
def test_measures_the_start(tmp_path):
    path = tmp_path / "out.json"
    out, _ = benchmark("--suite=start", "--rounds=1", f"--json={path}")
    assert "to the end of its first epoch of 40 steps" in out
    for seconds in json.loads(path.read_text())["seconds"].values():
        assert 0 < seconds["first_step"]["median"] < seconds["first_epoch"]["median"]


@pytest.mark.slow
def test_measures_streams(tmp_path, monkeypatch):
    path = tmp_path / "stream.json"
    out, _ = benchmark("--suite=stream", "--rounds=1", f"--json={path}")
    few, many = json.loads(path.read_text())["points"]
    assert (few["images"], many["images"]) == (2_000, 20_000)
    assert min(few["share"], many["share"]) > 0
    assert many["peak_bytes"] < few["peak_bytes"] + 2**28  # 2.5 GiB more of pixels
    assert "| 20,000 |" in out


def test_a_start_that_fails_is_said(monkeypatch):
    monkeypatch.setattr(start, "COMMAND", (*start.COMMAND, "--config.num_epochs=x"))
    with pytest.raises(RuntimeError, match=r"vitjax\.main .* failed: .*num_epochs"):
        start.measure_start(rounds=1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--only=vit_lite",), "--only=vit_lite is not in the suite, which has vit_mnist, vit_li"),
        (("--suite=start", "--only=9"), "--suite=start has no parts; leave it out"),
        (("--suite=fast",), "value should be one of <seeds|attention|sweep"),
        (("--config=configs/vit_digits.py", "--peers"), "--peers works with --suite=seeds"),
    ],
)
def test_mistakes_are_answered_in_one_line(args, message):
    _, error = benchmark(*args, code=2 if "--suite=fast" in args else 1)
    assert message in error
    assert "Traceback" not in error


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here")
def test_a_missing_peer_is_said():
    case = SEEDS["vit_light"].on("cpu")
    with pytest.raises(PeerError, match=r"PyTorch ended.*pip install '\.\[bench\]'"):
        Worker(case, compiled=False, num_threads=1, num_workers=0)


def test_the_page_is_what_the_command_prints():
    page = (REPO / "vitjax/benchmarking/README.md").read_text()
    out, _ = benchmark("--markdown")
    assert page == out
    assert "PyTorch / vitjax: step" in page


def test_the_table_of_many_chips_is_what_the_command_prints():
    page = (REPO / "vitjax/docs/scaling.md").read_text()
    out, _ = benchmark("--suite=many_chips", "--markdown")
    start = "<!-- written by: python -m vitjax.benchmark --suite=many_chips --markdown -->\n"
    assert page.partition(start)[2].partition("<!-- end -->")[0] == out


def test_recorded_results_are_all_shown():
    page = speed_tables.markdown() + prediction_tables.many_chips(speed_tables.RESULTS)
    for path in speed_tables.RESULTS.iterdir():
        assert json.loads(path.read_text())["command"] in page
