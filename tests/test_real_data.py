"""The main command on real MNIST and CIFAR-100, without TensorFlow."""

import json
import math

import pytest
from commands import main_in_process_of_its_own as main

pytestmark = pytest.mark.slow

EPOCH, HALF = "--config.num_epochs=1", "--config.data.max_examples=30000"  # of MNIST


def evaluate(real_data, tmp_path, *args):
    """Trains; returns eval.json."""
    data_dir = real_data("tfds")
    main(*args, f"--workdir={tmp_path}/run", f"--config.data.data_dir={data_dir}")
    return json.loads((tmp_path / "run" / "eval.json").read_text())


def test_vit_mnist(real_data, tmp_path):
    result = evaluate(real_data, tmp_path, "--config=configs/vit_mnist.py", HALF, EPOCH)
    assert result["accuracy"] > 0.9
    assert result["num_examples"] == 10_000


@pytest.mark.long
def test_mixer_mnist(real_data, tmp_path):
    result = evaluate(
        real_data, tmp_path, "--config=configs/mixer_mnist.py", HALF, "--config.num_epochs=2"
    )
    assert result["accuracy"] > 0.9


@pytest.mark.long
def test_linformer_on_mnist(real_data, tmp_path):
    result = evaluate(
        real_data,
        tmp_path,
        "--config=configs/vit_mnist.py",
        "--config.model_name=linformer",
        "--config.model.k_dim=8",
        HALF,
        EPOCH,
    )
    assert result["accuracy"] > 0.85


def test_vit_cifar100_learns(real_data, tmp_path):
    result = evaluate(
        real_data,
        tmp_path,
        "--config=configs/vit_cifar100.py:8p4l",
        EPOCH,
        "--config.data.max_examples=20000",
    )
    assert result["valid_loss"] < math.log(100) - 0.05  # log(100) is what an untrained model has


@pytest.mark.parametrize(
    "config",
    [
        "vit_mnist",
        "vit_light:mnist",
        "vit_scratch:mnist",
        "vit_scratch:cifar100",
        "mixer_mnist:sparse",
        "vit_cifar100:4p8l",
    ],
)
def test_debug_runs_each_config(real_data, tmp_path, config):
    name, _, row = config.partition(":")
    words = ",".join(filter(None, [row, "debug"]))
    result = evaluate(real_data, tmp_path, f"--config=configs/{name}.py:{words}")
    assert math.isfinite(result["loss"])
