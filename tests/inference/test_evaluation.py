"""python -m vitjax.evaluate on a finished run."""

import json

import commands
import numpy as np
import pytest
from PIL import Image
from sklearn import datasets, metrics

from vitjax.config_file import load_config
from vitjax.errors import UserError
from vitjax.inference.evaluation import evaluate
from vitjax.inference.evaluation_data import DataPlace
from vitjax.inference.predictor import load_predictor
from vitjax.training.run import train_and_evaluate


def quiet(text):
    del text


def test_the_command_adds_to_eval_json_and_writes_predictions(own_run):
    before = json.loads((own_run / "eval.json").read_text())
    del before["sha256"]  # it is of what is added, too
    out, _ = commands.main(f"--workdir={own_run}", module="vitjax.evaluate")
    after = json.loads((own_run / "eval.json").read_text())
    assert {key: after[key] for key in before} == before
    assert f"{before['accuracy']:.4f}" in out
    with np.load(own_run / "predictions.npz") as file:
        arrays = dict(file)
    assert arrays["probabilities"].dtype == np.float32
    assert arrays["labels"].dtype == np.int32
    assert len(set(arrays["ids"])) == before["num_examples"]
    predicted = arrays["probabilities"].argmax(axis=1)
    assert metrics.accuracy_score(arrays["labels"], predicted) == before["accuracy"]
    recall = metrics.recall_score(arrays["labels"], predicted, average="macro", zero_division=0)
    assert after["macro_mean"]["recall"] == pytest.approx(recall)
    assert after["calibration"]["temperature"] > 0


def test_evaluating_twice_gives_the_same(own_run):
    assert evaluate(own_run, say=quiet) == evaluate(own_run, say=quiet)


def test_validation_gives_what_training_measured(own_run):
    found = evaluate(own_run, "valid", say=quiet)
    trained = json.loads((own_run / "eval.json").read_text())
    assert found["accuracy"] == pytest.approx(trained["valid_accuracy"])
    assert found["loss"] == pytest.approx(trained["valid_loss"], rel=1e-5)
    assert (own_run / "eval-valid.json").exists()
    assert (own_run / "predictions-valid.npz").exists()


def other(path, names):
    digits = datasets.load_digits()
    labels = digits.target[:400]
    images = (digits.images[:400] * 15.9).astype(np.uint8)
    order = [names.index(str(label)) if str(label) in names else 0 for label in labels]
    np.savez(path, train_images=images, train_labels=order, class_names=names)
    return DataPlace("npz", str(path))


@pytest.fixture(scope="module")
def learnt_run(tmp_path_factory):
    """A run that knows the digits well, after seconds."""
    config = load_config("configs/vit_digits.py:debug")
    config.num_epochs, config.optim.ema_decay = 6, 0.0
    config.data.update(max_examples=0, batch_size=32)
    config.data.augment.update(crop_padding=0, rotation_degrees=0.0)
    workdir = tmp_path_factory.mktemp("learnt") / "run"
    train_and_evaluate(config, workdir, quiet)
    return workdir


@pytest.mark.slow
def test_other_data_with_the_classes_in_another_order(learnt_run, tmp_path):
    names = [str(i) for i in range(10)]
    found = evaluate(learnt_run, place=other(tmp_path / "a.npz", names), say=quiet)
    turned = evaluate(learnt_run, place=other(tmp_path / "b.npz", names[::-1]), say=quiet)
    assert (learnt_run / "eval-npz-a.json").exists()
    assert 0 < found["loss"] < 10
    assert found["accuracy"] > 0.8
    assert turned["accuracy"] == found["accuracy"]
    assert turned["per_class"] == found["per_class"]
    assert turned["loss"] == found["loss"]
    assert sum(c["support"] for c in turned["per_class"].values()) == turned["num_examples"]


def digits_file(path, per_class):
    """An npz file with so many black images of each digit to train on, and as many to test."""
    labels = np.repeat(np.arange(10), per_class)
    arrays = {"images": np.zeros((len(labels), 8, 8), np.uint8), "labels": labels}
    both = {f"{split}_{name}": x for split in ("train", "test") for name, x in arrays.items()}
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **both, class_names=[str(i) for i in range(10)])
    return DataPlace("npz", str(path))


def test_what_was_measured_on_other_data_of_that_name_stays(own_run, tmp_path):
    here, there = [digits_file(tmp_path / name / "set.npz", 5) for name in ("here", "there")]
    evaluate(own_run, place=here, say=quiet)
    first = (own_run / "eval-npz-set.json").read_text()
    words = r"eval-npz-set.json holds .* other data \(data_dir .*here/set.npz\); move it away, with"
    with pytest.raises(UserError, match=words):
        evaluate(own_run, place=there, say=quiet)
    evaluate(own_run, place=here, say=quiet)
    assert (own_run / "eval-npz-set.json").read_text() == first
    (own_run / "eval-npz-set.json").rename(own_run / "eval-npz-here.json")
    evaluate(own_run, place=there, say=quiet)


def test_corruptions_of_other_data_do_not_stand_beside(own_run, tmp_path, monkeypatch):
    monkeypatch.setattr("vitjax.inference.evaluation.corruption_numbers", lambda *given: {})
    here, there = [digits_file(tmp_path / name / "set.npz", 5) for name in ("here", "there")]
    evaluate(own_run, place=here, say=quiet, corruptions=True)
    (own_run / "eval-npz-set.json").unlink()
    with pytest.raises(UserError, match=r"corruptions-npz-set.json holds .* other data"):
        evaluate(own_run, place=there, say=quiet)


def test_one_file_of_labels_and_two_folders_of_images_are_two_sets_of_data(own_run, tmp_path):
    rows = [f"{i}.png,{i % 10}" for i in range(50)]
    (tmp_path / "l.csv").write_text("\n".join(["path,label", *rows]))
    for name in ("clean", "noisy"):
        (tmp_path / name).mkdir()
        for i in range(50):
            Image.fromarray(np.full((8, 8), 5 * i, np.uint8)).save(tmp_path / name / f"{i}.png")
    places = [DataPlace("csv", f"{tmp_path}/l.csv", f"{tmp_path}/{n}") for n in ("clean", "noisy")]
    evaluate(own_run, place=places[0], say=quiet)
    with pytest.raises(UserError, match=r"eval-csv-l.json holds .* image_root .*/clean\); move"):
        evaluate(own_run, place=places[1], say=quiet)


def test_files_are_called_after_the_whole_name_of_a_folder(tmp_path):
    (tmp_path / "v1.0").mkdir()
    (tmp_path / "v1.csv").touch()
    assert DataPlace("folder", f"{tmp_path}/v1.0/").label == "folder-v1.0"
    assert DataPlace("csv", f"{tmp_path}/v1.csv").label == "csv-v1"
    assert DataPlace("emnist/letters", "anywhere").label == "emnist_letters"


def test_sets_of_tfds_that_lie_in_two_folders_are_two_sets(own_run, tmp_path):
    """Such as galaxies that were drawn, and those of the photographs."""
    told = DataPlace("galaxy_zoo2", str(tmp_path / "drawn")).told
    file = own_run / "eval-galaxy_zoo2.json"
    file.write_text(json.dumps({"data_name": "galaxy_zoo2", **told}))
    with pytest.raises(UserError, match=r"data_dir .*/drawn\); move it away, with all"):
        evaluate(own_run, place=DataPlace("galaxy_zoo2", str(tmp_path)), say=quiet)


def test_other_data_need_not_be_enough_for_validation(own_run, tmp_path):
    place = digits_file(tmp_path / "few.npz", 1)
    assert evaluate(own_run, place=place, say=quiet)["num_examples"] == 10
    with pytest.raises(UserError, match="is less than one image of every class"):
        evaluate(own_run, "valid", place=place, say=quiet)


def test_images_of_a_class_that_weighs_nothing_have_the_loss_that_training_gives(tmp_path):
    config = load_config("configs/vit_digits.py:debug")
    config.loss.class_weights = (1.0,) * 9 + (0.0,)
    train_and_evaluate(config, tmp_path / "run", quiet)
    names = [str(i) for i in range(10)]
    images = np.zeros((20, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=[9] * 20, class_names=names)
    found = evaluate(tmp_path / "run", place=DataPlace("npz", str(tmp_path / "a.npz")), say=quiet)
    assert found["loss"] == 0


def test_other_classes_are_named(own_run, tmp_path):
    names = [*(str(i) for i in range(9)), "cat"]
    with pytest.raises(UserError, match="it lacks 9; the run lacks cat"):
        evaluate(own_run, place=other(tmp_path / "a.npz", names), say=quiet)


def test_other_classes_that_look_alike_are_told(own_run, tmp_path):
    names = [*(str(i) for i in range(9)), "9\u200b"]
    with pytest.raises(UserError, match=r"that look alike \('9' = '9\\u200b'\); write them in one"):
        evaluate(own_run, place=other(tmp_path / "a.npz", names), say=quiet)


def test_changed_data_are_refused(own_run):
    edited = json.loads((own_run / "config.json").read_text())
    edited["config"]["data"]["max_examples"] = 200
    (own_run / "config.json").write_text(json.dumps(edited))
    with pytest.raises(UserError, match=r"config\.json does not fit the checkpoint .*max_examples"):
        evaluate(own_run, say=quiet)
    commands.as_of_before(own_run)
    with pytest.raises(UserError, match=r"is not what .* was trained on: images"):
        evaluate(own_run, say=quiet)


def test_the_test_split_waits_for_the_end_of_training(own_run):
    (own_run / "eval.json").unlink()
    _, err = commands.main(f"--workdir={own_run}", module="vitjax.evaluate", code=1)
    assert "not trained to its end" in err
    assert evaluate(own_run, "valid", say=quiet)["num_examples"] > 0
    assert not (own_run / "eval.json").exists()


def test_other_data_that_lack_a_place_say_which_option_gives_it(own_run):
    _, error = commands.main(f"--workdir={own_run}", "--data=npz", module="vitjax.evaluate", code=1)
    assert error.count("\n") == 1
    assert "None" not in error
    assert "are --data and --data_dir." in error


def test_labels_that_changed_since_training_are_refused(tmp_path):
    def write(test_labels):
        images = np.random.RandomState(0).randint(0, 256, (40, 8, 8), np.uint8)
        labels = np.arange(40) % 2
        arrays = {"train_images": images, "train_labels": labels, "test_images": images[:10]}
        np.savez(tmp_path / "set.npz", **arrays, test_labels=test_labels)

    write([0, 1] * 5)
    config = load_config("configs/vit_digits.py:debug")
    config.data.update(name="npz", data_dir=str(tmp_path / "set.npz"), image_size=0)
    train_and_evaluate(config, tmp_path / "run", quiet)
    write([1, 0] * 5)
    with pytest.raises(
        UserError, match=r"npz is not what .*run was trained on: test has other lab"
    ):
        evaluate(tmp_path / "run", say=quiet)


def test_other_images_of_the_same_names_are_told_and_not_taken_for_the_runs_own(tmp_path):
    def write(test_images):
        labels = np.arange(240) % 2
        images = np.full((240, 8, 8), 40, np.uint8) + 150 * labels[:, None, None].astype(np.uint8)
        arrays = {"train_images": images, "train_labels": labels, "test_labels": labels[:40]}
        np.savez(tmp_path / "set.npz", **arrays, test_images=test_images(images[:40]))

    write(lambda images: images)
    config = load_config("configs/vit_digits.py:debug")
    config.data.update(name="npz", data_dir=str(tmp_path / "set.npz"), image_size=0, mean=(0.5,))
    config.data.std = (0.3,)
    config.num_epochs, config.optim.ema_decay = 4, 0.0
    train_and_evaluate(config, tmp_path / "run", quiet)
    write(lambda images: images + 1)
    said = []
    evaluate(tmp_path / "run", say=said.append)
    assert any("warning: the pixels of test are not those of training" in text for text in said)
    before = (tmp_path / "run/eval.json").read_bytes()
    write(lambda images: 255 - images)
    with pytest.raises(
        UserError,
        match=r"training measured 1\.0000 on test, now it is 0\.0000: other images of the same "
        r"names; change --data_dir or --image_root, or name other data with --data",
    ):
        evaluate(tmp_path / "run", say=quiet)
    assert (tmp_path / "run/eval.json").read_bytes() == before


def test_a_run_that_ends_while_its_weights_are_read_is_not_measured_by_them(own_run, monkeypatch):
    ended = (own_run / "eval.json").read_bytes()
    (own_run / "eval.json").unlink()

    def slow(workdir):
        predictor = load_predictor(workdir)
        (own_run / "eval.json").write_bytes(ended)
        return predictor

    monkeypatch.setattr("vitjax.inference.evaluation.load_predictor", slow)
    with pytest.raises(UserError, match="is not trained to its end"):
        evaluate(own_run, say=quiet)
    assert (own_run / "eval.json").read_bytes() == ended
