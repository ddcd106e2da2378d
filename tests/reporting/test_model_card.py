"""A model card says what a run's files say, and the hub's own library reads it."""

import json
import shutil

import numpy as np
import pytest
from commands import main
from small_runs import quiet, small

import vitjax


@pytest.fixture(scope="module")
def evaluated(digits_run, tmp_path_factory):
    workdir = shutil.copytree(digits_run, tmp_path_factory.mktemp("card") / "run")
    vitjax.load(workdir).evaluate(say=lambda text: None)
    return workdir


@pytest.mark.slow
def test_the_hubs_library_reads_metrics_and_data(evaluated):
    hub = pytest.importorskip("huggingface_hub")
    out, _ = main(f"--workdir={evaluated}", "--card", module="vitjax.report")
    assert out == f"written to {evaluated / 'report' / 'README.md'}\n"
    card = hub.ModelCard.load(evaluated / "report/README.md")
    measured = json.loads((evaluated / "eval.json").read_text())
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found["accuracy"] == measured["accuracy"]
    assert found["f1"] == measured["macro_mean"]["f1"]
    assert {result.dataset_name for result in card.data.eval_results} == {"digits"}
    assert card.data.library_name == "vitjax"
    assert card.data.pipeline_tag == "image-classification"


def test_a_card_tells_command_versions_limits_and_no_carbon(evaluated):
    text = vitjax.load(evaluated).card().read_text()
    run = json.loads((evaluated / "config.json").read_text())
    assert f"```bash\n{run['command']}\n```" in text
    assert f"jax {run['versions']['jax']}" in text
    for heading in ("## Metrics", "## Data", "## Intended use and limits", "## Training"):
        assert heading in text
    assert "co2" not in text


def test_a_card_tells_which_epoch_was_measured(evaluated, tmp_path):
    best = "with the epoch that is best on validation, number "
    assert best in vitjax.load(evaluated).card().read_text()
    images, labels = np.random.RandomState(0).randint(0, 256, (80, 8, 8), np.uint8), [0, 1] * 40
    np.savez(tmp_path / "toy.npz", train_images=images, train_labels=labels)
    toy = {"data.name": "npz", "data.data_dir": str(tmp_path / "toy.npz")}
    config = small(**toy, **{"data.valid_fraction": 0.0, "num_epochs": 2})
    run = vitjax.train(config, workdir=tmp_path / "run", say=quiet)
    assert "with the last epoch, number 2." in run.card().read_text()


def test_before_a_run_has_ended_there_are_no_metrics(own_run):
    (own_run / "eval.json").unlink()
    text = vitjax.load(own_run).card().read_text()
    assert "model-index" not in text
    assert "## Metrics" not in text


def test_classes_whose_names_are_no_text_are_shown_escaped(own_run):
    (own_run / "eval.json").unlink()
    dataset = json.loads((own_run / "dataset.json").read_text())
    dataset["class_names"][:2] = ["\udcff", "two\nlines"]
    (own_run / "dataset.json").write_text(json.dumps(dataset))
    text = vitjax.load(own_run).card().read_text()
    assert r"Classes: `\udcff`, `two\nlines`, " in text


def test_a_file_in_place_of_the_folder_is_said(own_run):
    (own_run / "report").write_text("")
    with pytest.raises(vitjax.UserError, match=r"report is a file; move it away"):
        vitjax.load(own_run).card()
