"""Weights by the names that a user gives them, and what is said of them."""

import dataclasses
import subprocess
import sys

import pytest
from golden import GOLDENS, fresh, load
from safetensors.numpy import save_file

from vitjax import models
from vitjax.config import debug, default
from vitjax.errors import UserError
from vitjax.pretrained import catalog, locate, weight_files
from vitjax.pretrained.load import Inputs, load_weights
from vitjax.training.run import train_and_evaluate

SHAPE = (12, 8, 3)
HALF = (0.5, 0.5, 0.5)


def said_of(weights, mean=HALF, std=HALF):
    """What is said when timm's small ViT is loaded by a name."""
    model = models.create(
        "vit", 5, patch_size=4, hidden_dim=16, num_layers=2, num_heads=2, mlp_dim=64
    )
    said = []
    inputs = Inputs(SHAPE, mean, std)
    load_weights(str(weights), fresh(model, SHAPE), model, inputs, said.append)
    return said


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(load("timm_vit")["tensors"], path)
    return path


def test_a_file_or_its_folder(file):
    assert said_of(file) == [f"weights   {file}: 32 arrays of timm's ViT"]
    folder = file.parent
    assert said_of(folder) == [f"weights   {folder}: 32 arrays of timm's ViT in {file}"]


@pytest.mark.slow
def test_a_run_begins_with_the_weights_of_another(tmp_path):
    config = debug(default("vit"))
    config.num_epochs = 1
    config.model.update(patch_size=8, hidden_dim=16, mlp_dim=16)
    train_and_evaluate(config, tmp_path / "run", lambda _: None)
    config.finetune.weights = str(tmp_path / "run")
    said = []
    train_and_evaluate(config, tmp_path / "next", said.append)
    assert any(line.endswith("arrays of vitjax") for line in said)


def test_a_model_that_computes_otherwise_than_the_weights_expect_is_warned_of(file, monkeypatch):
    entry = dataclasses.replace(catalog.CATALOG["vit_ti_augreg"], options={"activation": "relu"})
    monkeypatch.setitem(catalog.CATALOG, "vit_ti_augreg", entry)
    monkeypatch.setattr(locate, "fetch", lambda repo, name: file)
    assert [line.strip() for line in said_of("vit_ti_augreg")[1:]] == [
        "warning: trained with config.model.activation='relu', here 'gelu'",
        "warning: trained with config.model.norm_epsilon=1e-06, here 1e-05",
        "warning: trained with config.model.num_heads=3, here 2",
        "trained on images of 224 pixels, here 12x8",
    ]


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        ({"mean": (0.25, 1 / 3, 0.0)}, "mean=(0.5, 0.5, 0.5), here (0.25, 0.3333, 0.0)"),
        ({"std": (0.25, 0.25, 0.25)}, "std=(0.5, 0.5, 0.5), here (0.25, 0.25, 0.25)"),
    ],
)
def test_inputs_normalised_otherwise_than_the_weights_expect_are_warned_of(
    given, warning, file, monkeypatch
):
    monkeypatch.setattr(locate, "fetch", lambda repo, name: file)
    new = {line.strip() for line in said_of("vit_ti_augreg", **given)}
    assert new - {line.strip() for line in said_of("vit_ti_augreg")} == {
        f"warning: trained with config.data.{warning}"
    }


@pytest.mark.parametrize("entry", catalog.CATALOG.values(), ids=lambda entry: entry.name)
def test_the_catalogue_names_models_with_their_options(entry):
    assert models.create(entry.model_name, 10, **entry.options) is not None
    assert entry.name in catalog.table()


@pytest.mark.parametrize(
    ("sums", "text"),
    [
        ((None, None), "no sha256 is known here, so that none is checked."),
        ((None, "0"), "the sha256 of 1 of 2 is known here and checked."),
        (("0", "0"), "the sha256 of 2 of 2 is known here and checked."),
    ],
)
def test_the_catalogue_says_which_sums_are_checked(sums, text, monkeypatch):
    entry = catalog.CATALOG["resnet18_in1k"]
    entries = {str(i): dataclasses.replace(entry, sha256=s) for i, s in enumerate(sums)}
    monkeypatch.setattr(catalog, "CATALOG", entries)
    assert f"The file is model.safetensors everywhere; {text}" in catalog.table()


def test_the_catalogue_is_listed_without_jax():
    code = "import sys, vitjax.pretrained.catalog; print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.parametrize("length", [0, 100, 20_000])
def test_a_truncated_file_of_torch(length, tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes((GOLDENS / "torchvision_resnet.pth").read_bytes()[:length])
    with pytest.raises(UserError, match=r"is damaged, or no file of torch\.save since 1\.6"):
        weight_files.read(path, allow_pickle=True)
