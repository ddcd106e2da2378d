"""Runs through `train_and_evaluate`: learning, exact resume, best epoch, errors."""

import json
import shutil

import jax
import numpy as np
import pytest
from commands import lines, newest_params, results
from small_runs import quiet, small

from vitjax.errors import Diverged, UserError
from vitjax.training.batch_parallel import BatchParallel
from vitjax.training.run import train_and_evaluate


def run(config, workdir):
    return train_and_evaluate(config, workdir, quiet)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of three epochs without interruption."""
    workdir = tmp_path_factory.mktemp("finished")
    return workdir, run(small(), workdir)


def test_eval_json(finished):
    workdir, result = finished
    saved = json.loads((workdir / "eval.json").read_text())
    assert len(saved.pop("sha256")) == 64
    assert saved == result
    assert saved["split"] == "test"
    assert saved["num_examples"] == 120
    assert saved["num_params"] == 890
    assert 0 <= saved["accuracy"] <= 1


def test_metrics_has_a_line_an_epoch(finished):
    got = lines(finished[0])
    assert [(line["epoch"], line["step"]) for line in got] == [(1, 4), (2, 8), (3, 12)]
    assert {"train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "lr"} <= set(got[0])
    assert {"images_per_second", "seconds"} <= set(got[0])


def test_test_is_measured_at_the_best_epoch(finished):
    workdir, result = finished
    best = max(lines(workdir), key=lambda e: (e["valid_accuracy"], -e["valid_loss"]))
    assert result["epoch"] == best["epoch"]
    assert result["valid_accuracy"] == best["valid_accuracy"]


def test_dataset_json(finished):
    facts = json.loads((finished[0] / "dataset.json").read_text())
    assert facts["class_names"] == [str(i) for i in range(10)]
    assert facts["image_shape"] == [8, 8, 1]
    assert facts["num_examples"] == {"train": 120, "valid": 120, "test": 120}


def test_finished_run_is_not_repeated(finished, capsys):
    workdir, result = finished
    assert train_and_evaluate(small(), workdir) == result
    assert "is finished" in capsys.readouterr().out


def test_other_config_is_refused_with_the_difference(finished):
    config = small(**{"optim.learning_rate": 0.5})
    with pytest.raises(UserError, match=r"optim\.learning_rate was 0\.01, is 0\.5"):
        run(config, finished[0])


def stop_after(monkeypatch, epochs):
    """Ends a run like a kill, right after the line of an epoch is written."""
    from vitjax.runs.run_folder import RunFolder

    append = RunFolder.append_metrics

    def append_and_die(self, line):
        append(self, line)
        if line["epoch"] == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "append_metrics", append_and_die)


def test_resumed_run_is_the_same_bit_for_bit(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=2)  # its checkpoint is not written: epoch 2 is done again
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path)
    assert len(lines(tmp_path)) == 2
    run(small(), tmp_path)
    assert results(tmp_path) == results(finished[0])
    jax.tree.map(np.testing.assert_array_equal, newest_params(tmp_path), newest_params(finished[0]))


def test_a_run_does_not_go_on_with_other_images_of_the_same_names(tmp_path, monkeypatch):
    images, labels = np.zeros((60, 8, 8), np.uint8), np.arange(60) % 2
    arrays = {"train_images": images, "train_labels": labels, "test_labels": labels}
    np.savez(tmp_path / "set.npz", **arrays, test_images=images)
    npz = {"data.name": "npz", "data.data_dir": str(tmp_path / "set.npz")}
    config = small(**npz, **{"data.mean": (0.5,), "data.std": (0.5,)})
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=1)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run")
    np.savez(tmp_path / "set.npz", **arrays, test_images=images + 1)
    with pytest.raises(UserError, match=r"run on other data: pixels\.test was \"\w+\", is \"\w+\""):
        run(config, tmp_path / "run")
    np.savez(tmp_path / "set.npz", **arrays, test_images=images)
    run(config, tmp_path / "run")


@pytest.mark.slow
def test_a_kill_in_the_first_save_loses_no_weights(finished, tmp_path, monkeypatch):
    config = small(**{"finetune.weights": str(finished[0])})
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=1)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path)
    (tmp_path / "checkpoints" / "4.orbax-checkpoint-tmp").mkdir()
    said = []
    train_and_evaluate(config, tmp_path, said.append)
    assert any(line.startswith(f"weights   {finished[0]}") for line in said)


@pytest.mark.parametrize("steps_per_call", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_steps_per_call_does_not_matter(finished, tmp_path, steps_per_call):
    run(small(steps_per_call=steps_per_call), tmp_path)
    assert results(tmp_path) == results(finished[0])


@pytest.mark.slow
def test_accumulation_does_not_matter_without_dropout(tmp_path):
    got = []
    for parts in (1, 4):
        config = small(**{"model.dropout_rate": 0.0, "optim.accumulation_steps": parts})
        got.append(run(config, tmp_path / str(parts))["loss"])
    assert got[0] == pytest.approx(got[1], rel=1e-4)


@pytest.mark.slow
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=3)
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path)
    data = max((tmp_path / "checkpoints" / "8").rglob("*"), key=lambda p: p.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    data.write_bytes(content)
    said = []
    train_and_evaluate(small(), tmp_path, said.append)
    assert any("checkpoints/8 is damaged" in line for line in said)
    assert "resuming at step 4" in said
    assert (tmp_path / "checkpoints" / "damaged" / "8").is_dir()
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2, 3]


def test_all_checkpoints_damaged(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=3)
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path)
    for manifest in (tmp_path / "checkpoints").glob("*/manifest.json"):
        manifest.write_text("{}")
    with pytest.raises(UserError, match=r"no checkpoint in .* can be read"):
        run(small(), tmp_path)


@pytest.mark.parametrize("skip", [0, 2])
def test_nan_stops_and_names_step_and_layer(skip, tmp_path):
    config = small(**{"optim.learning_rate": 1e30, "optim.name": "sgd"})
    config.optim.skip_nonfinite = skip
    with pytest.raises(FloatingPointError, match=r"at step \d+ \(epoch 1\), in .*learning_rate"):
        run(config, tmp_path)
    assert not (tmp_path / "eval.json").exists()


@pytest.mark.parametrize(
    ("method", "where"),
    [("train_metrics", "the training loss of epoch 1"), ("test", "the loss on test after step 4")],
)
def test_a_loss_that_is_infinite_though_no_step_was(method, where, tmp_path, monkeypatch):
    """The sum of an epoch's losses can be too large for float32, or only those on test."""
    measured = getattr(BatchParallel, method)

    def infinite(self, *args):
        metrics = measured(self, *args)
        return metrics.replace(loss=np.full_like(metrics.loss, np.inf))

    monkeypatch.setattr(BatchParallel, method, infinite)
    with pytest.raises(Diverged, match=f"infinity at {where}; lower"):
        run(small(num_epochs=1), tmp_path)
    assert json.loads((tmp_path / "diverged.json").read_text()) == {"where": where}
    assert not (tmp_path / "eval.json").exists()


@pytest.mark.slow
def test_lost_best_checkpoint_is_said_and_another_counts(tmp_path, monkeypatch):
    config = small(**{"optim.learning_rate": 1e-12})  # the first epoch stays the best
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=3)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path)
    best = max(lines(tmp_path), key=lambda e: (e["valid_accuracy"], -e["valid_loss"]))["step"]
    shutil.rmtree(tmp_path / "checkpoints" / str(best))
    said = []
    result = train_and_evaluate(config, tmp_path, said.append)
    assert any(f"best epoch (step {best}) is lost" in line for line in said)
    assert result["step"] != best


def spoiled(spoil, tmp_path, monkeypatch):
    """What is said of a run of two epochs that was killed, and then spoiled."""
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=3)
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError) as raised:
        run(small(), tmp_path)
    return str(raised.value)


def with_lines(change):
    def spoil(workdir):
        file = workdir / "metrics.jsonl"
        file.write_text("".join(change(file.read_text().splitlines(keepends=True))))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda w: (w / "config.json").unlink(), "has metrics.jsonl and lacks config.json"),
        (lambda w: (w / "dataset.json").unlink(), "has metrics.jsonl and lacks dataset.json"),
        (lambda w: shutil.rmtree(w / "checkpoints"), "has metrics.jsonl and lacks checkpoints"),
        (
            lambda w: [shutil.rmtree(w / "checkpoints" / name) for name in ("4", "8")],
            "has 3 epochs in metrics.jsonl, and their checkpoints are lost",
        ),
        (
            lambda w: (w / "metrics.jsonl").unlink(),
            "metrics.jsonl does not fit the checkpoint {w}/checkpoints/8: epochs was 2, is 0",
        ),
        (with_lines(lambda lines: lines[1:]), "metrics.jsonl line 1 is damaged"),
        (with_lines(lambda lines: lines[:1]), "metrics.jsonl does not fit the checkpoint"),
        (with_lines(lambda lines: [*lines, lines[-1]]), "metrics.jsonl line 4 is damaged"),
        (with_lines(lambda lines: [lines[0], lines[0][:9], lines[2]]), "line 2 is damaged"),
    ],
)
def test_a_run_whose_files_are_not_whole_is_refused(spoil, said, tmp_path, monkeypatch):
    assert said.format(w=tmp_path) in spoiled(spoil, tmp_path, monkeypatch)


def test_a_config_that_was_edited_is_refused_though_the_command_says_the_same(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        stop_after(patch, epochs=2)
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path)
    file = tmp_path / "config.json"
    content = json.loads(file.read_text())
    content["config"]["optim"]["learning_rate"] = 0.5
    file.write_text(json.dumps(content))
    message = (
        r"config\.json does not fit the checkpoint .*/4: optim\.learning_rate was 0\.01, is 0\.5"
    )
    with pytest.raises(UserError, match=message):
        run(small(**{"optim.learning_rate": 0.5}), tmp_path)


@pytest.mark.parametrize("name", ["config.json", "dataset.json", "checkpoints", "metrics.jsonl"])
def test_a_finished_run_that_lacks_a_file_is_refused(name, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "run")
    (workdir / name).rename(tmp_path / name)
    with pytest.raises(UserError, match=rf"has eval\.json and lacks {name}, which was written"):
        run(small(), workdir)


def test_a_finished_run_whose_checkpoints_are_lost_is_refused(finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "run")
    shutil.rmtree(workdir / "checkpoints")
    (workdir / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"has eval\.json, and its checkpoints are lost"):
        run(small(), workdir)


def with_evaluation(finished, tmp_path, change):
    """A copy of a run whose eval.json is what `change` makes of it."""
    workdir = shutil.copytree(finished[0], tmp_path / "run")
    content = json.loads((workdir / "eval.json").read_text())
    (workdir / "eval.json").write_text(json.dumps(change(content)))
    return workdir


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_epochs_run": 7}, r"eval\.json does not fit metrics\.jsonl \(num_epochs_run"),
        ({"accuracy": 0.99}, r"eval\.json was changed since it was written"),
    ],
)
def test_a_number_of_an_evaluation_that_was_changed_is_noticed(finished, tmp_path, change, message):
    workdir = with_evaluation(finished, tmp_path, lambda content: content | change)
    with pytest.raises(UserError, match=message):
        run(small(), workdir)


def test_an_evaluation_of_an_earlier_version_is_taken(finished, tmp_path):
    def without(content):
        return {key: value for key, value in content.items() if key != "sha256"}

    assert run(small(), with_evaluation(finished, tmp_path, without)) == finished[1]


def test_the_folder_of_a_sweep_is_refused(tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UserError, match="holds a sweep; use another --workdir"):
        run(small(), tmp_path)


@pytest.mark.slow
def test_parameters_that_overflow_stop_the_run_before_they_are_saved(tmp_path):
    config = small(**{"optim.learning_rate": 1e38, "optim.name": "adam", "num_epochs": 1})
    config.data.batch_size = 120
    with pytest.raises(FloatingPointError, match=r"NaN or infinity at step 0 .*another --workdir"):
        run(config, tmp_path)


@pytest.mark.slow
def test_early_stopping(tmp_path):
    config = small(**{"optim.learning_rate": 1e-12, "num_epochs": 9, "patience": 2})
    result = run(config, tmp_path)
    assert result["num_epochs_run"] < 9
    assert result["num_epochs_run"] - result["epoch"] == 2


@pytest.mark.slow
def test_ema_is_what_is_evaluated(tmp_path):
    frozen = small(**{"optim.ema_decay": 0.999999})
    result = run(frozen, tmp_path)
    assert result["accuracy"] < 0.3  # the averaged parameters have hardly moved
    assert lines(tmp_path)[-1]["train_loss"] < lines(tmp_path)[0]["train_loss"]


@pytest.mark.slow
def test_without_validation_the_last_epoch_counts(tmp_path):
    images = np.random.RandomState(0).randint(0, 255, (60, 8, 8), np.uint8)
    arrays = dict(train_images=images, train_labels=np.arange(60) % 3)
    np.savez(tmp_path / "set.npz", **arrays, test_images=images[:9], test_labels=np.arange(9) % 3)
    config = small(**{"data.name": "npz", "data.data_dir": str(tmp_path / "set.npz")})
    config.data.valid_fraction = 0.0
    result = run(config, tmp_path / "run")
    assert result["epoch"] == 3
    assert result["num_examples"] == 9
    assert "valid_loss" not in lines(tmp_path / "run")[0]


def test_patience_needs_validation(tmp_path):
    config = small(**{"patience": 2, "data.valid_fraction": 0.0})
    images = np.zeros((60, 8, 8), np.uint8)
    labels = np.arange(60) % 3
    np.savez(tmp_path / "set.npz", train_images=images, train_labels=labels)
    config.data.update(name="npz", data_dir=str(tmp_path / "set.npz"))
    with pytest.raises(UserError, match=r"config\.patience=2 needs a validation split"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_drop_remainder(tmp_path):
    run(small(**{"data.drop_remainder": True}), tmp_path)
    assert [line["step"] for line in lines(tmp_path)] == [3, 6, 9]


@pytest.mark.slow
def test_bfloat16_keeps_float32_parameters(finished, tmp_path):
    run(small(dtype="bfloat16"), tmp_path)
    kinds = {leaf.dtype for leaf in jax.tree.leaves(newest_params(tmp_path))}
    assert kinds == {np.dtype("float32")}
    got, exact = lines(tmp_path)[-1]["train_loss"], lines(finished[0])[-1]["train_loss"]
    assert got == pytest.approx(exact, rel=0.05)
    assert got != exact


@pytest.mark.slow
def test_learns(tmp_path):
    config = small(**{"num_epochs": 40, "data.max_examples": 0, "optim.learning_rate": 3e-3})
    config.model.update(hidden_dim=16, num_layers=2, mlp_dim=32, patch_size=2)
    assert run(config, tmp_path)["accuracy"] > 0.8
