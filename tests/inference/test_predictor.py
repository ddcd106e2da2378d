"""A run's folder as a function from images to classes."""

import json
import subprocess
import sys

import commands
import numpy as np
import pytest
from PIL import Image

import vitjax
from vitjax.config import use_model
from vitjax.config_file import load_config
from vitjax.data.readers.pixels import ORIENTATION
from vitjax.errors import UserError
from vitjax.inference.predictor import load_predictor
from vitjax.training.run import train_and_evaluate
from vitjax.training.setup import load


def images_of_test(predictor):
    return load(predictor.config, lambda text: None).splits["test"]


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_predictions_have_the_accuracy_that_training_measured(digits_run):
    predictor = load_predictor(digits_run)
    split = images_of_test(predictor)
    probabilities = predictor.predict(split.images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    result = json.loads((digits_run / "eval.json").read_text())
    assert (probabilities.argmax(axis=1) == split.labels).mean() == result["accuracy"]
    assert predictor.step == result["step"]


def test_averaged_parameters_are_loaded_where_the_run_kept_them(digits_run):
    predictor = load_predictor(digits_run, "last")
    as_trained = commands.newest_params(digits_run)["head"]["logits"]["kernel"]
    assert predictor.variables["params"]["head"]["logits"]["kernel"].shape == as_trained.shape
    assert not np.allclose(predictor.variables["params"]["head"]["logits"]["kernel"], as_trained)


def test_preprocessing_is_that_of_training(digits_run):
    predictor = load_predictor(digits_run)
    images = images_of_test(predictor).images[:2]
    by_hand = (images / 255 - np.float64(predictor.mean)) / np.float64(predictor.std)
    np.testing.assert_allclose(predictor.preprocess(images), by_hand, rtol=1e-5, atol=1e-6)


def test_images_are_enlarged_to_what_the_model_sees_and_batch_statistics_come_along(tmp_path):
    config = load_config("configs/vit_digits.py:debug")
    use_model(config, "resnet")
    config.model.update(stage_sizes=(1,), width=4)
    config.data.update(image_size=0, input_size=16)
    config.num_epochs = 1
    result = train_and_evaluate(config, tmp_path / "run", lambda text: None)
    predictor = load_predictor(tmp_path / "run")
    split = images_of_test(predictor)
    assert predictor.preprocess(split.images[:3]).shape == (3, 16, 16, 1)
    assert set(predictor.variables) == {"params", "batch_stats"}
    found = (predictor.predict(split.images).argmax(axis=1) == split.labels).mean()
    assert found == result["accuracy"]


def test_any_step_with_a_checkpoint_can_be_loaded(digits_run):
    steps = commands.steps(digits_run)
    assert [load_predictor(digits_run, step).step for step in steps] == steps
    assert load_predictor(digits_run, "last").step == steps[-1]


def test_images_of_any_kind_and_size_are_fitted(digits_run, tmp_path):
    pixels = np.random.RandomState(0).randint(0, 256, (50, 40, 4), np.uint8)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "image.png")
    alpha = pixels[..., 3:] / 255
    on_white = np.round(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    gray = pixels[:32, :32, 0]
    images = [tmp_path / "image.png", Image.fromarray(on_white), gray, gray[..., None]]
    found = vitjax.load(digits_run).predict(images, top=3)
    assert [len(classes) for classes in found] == [3] * 4
    for transparent, opaque in zip(found[0], found[1], strict=True):  # white, as in training
        assert transparent.class_name == opaque.class_name
        assert transparent.probability == pytest.approx(opaque.probability, rel=0.01)
    assert found[2] == found[3]
    for classes in found:
        assert [p for _, p in classes] == sorted((p for _, p in classes), reverse=True)


def test_an_image_that_is_to_be_turned_stays_as_its_caller_has_it(digits_run):
    pixels = np.random.RandomState(0).randint(0, 256, (8, 16), np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[ORIENTATION] = 6  # a quarter turn clockwise
    predictor = load_predictor(digits_run)
    fitted = predictor.fit(image)
    np.testing.assert_array_equal(fitted, predictor.fit(np.rot90(pixels, -1)))
    assert image.size == (16, 8)
    np.testing.assert_array_equal(predictor.fit(image), fitted)


def test_an_array_that_is_no_image_is_refused(digits_run):
    with pytest.raises(UserError, match=r"an image of float64 \[8, 8\], expected uint8"):
        vitjax.load(digits_run).predict([np.zeros((8, 8))])


@pytest.mark.parametrize("shape", [(8,), (8, 0), (3, 3, 5), (2, 8, 8, 1)])
def test_an_array_of_no_images_shape_is_refused(shape, digits_run):
    with pytest.raises(UserError, match=r"an image of uint8 .*, expected uint8 \[H, W\] or"):
        vitjax.load(digits_run).predict([np.zeros(shape, np.uint8)])


def test_images_of_another_shape_are_refused(digits_run):
    with pytest.raises(UserError, match=r"shape \[8, 8, 1\], expected \[32, 32, 1\]"):
        load_predictor(digits_run).predict(np.zeros((1, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "config.json").unlink(), r"there is no file .*config\.json"),
        (lambda run: (run / "config.json").write_text("{"), r"config\.json is damaged"),
        (lambda run: (run / "checkpoints").rename(run / "gone"), "has lost its checkpoints"),
        (
            lambda run: edit(run / "dataset.json", class_names=["a", "b"]),
            r"dataset\.json does not fit the checkpoint .*: class_names was",
        ),
        (
            lambda run: (
                commands.as_of_before(run),
                edit(run / "dataset.json", class_names=["a", "b"]),
            ),
            r"head\.logits\.bias has the shape \[10\] in the checkpoint and \[2\] by config",
        ),
    ],
)
def test_an_incomplete_run_says_what_it_lacks(own_run, spoil, message):
    spoil(own_run)
    with pytest.raises(UserError, match=message):
        load_predictor(own_run)


def test_the_best_epoch_is_not_chosen_among_lines_that_are_not_whole(own_run):
    file = own_run / "metrics.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=r"eval\.json does not fit metrics\.jsonl"):
        load_predictor(own_run)
    (own_run / "eval.json").unlink()
    with pytest.raises(UserError, match=r"metrics\.jsonl does not fit the checkpoint .*epochs was"):
        load_predictor(own_run)


def test_a_finished_run_without_its_best_checkpoint_says_so(own_run):
    step = json.loads((own_run / "eval.json").read_text())["step"]
    (own_run / "checkpoints" / str(step) / "manifest.json").unlink()
    with pytest.raises(UserError, match=rf"step {step} has no checkpoint in .*; choose last or"):
        load_predictor(own_run)


def test_no_folder():
    with pytest.raises(UserError, match="there is no folder nowhere"):
        load_predictor("nowhere")


def test_unknown_step_names_those_there_are(digits_run):
    steps = ", ".join(map(str, commands.steps(digits_run)))
    with pytest.raises(UserError, match=f"choose best, last or one of {steps}"):
        load_predictor(digits_run, 1)


def test_a_damaged_checkpoint_is_refused_and_stays_where_it_is(own_run):
    step = commands.steps(own_run)[-1]
    file = max((own_run / "checkpoints" / str(step)).rglob("*"), key=lambda p: p.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    before = sorted(own_run.rglob("*"))
    with pytest.raises(UserError, match=rf"{step} is damaged \(.* changed\); load another step"):
        load_predictor(own_run, "last")
    assert sorted(own_run.rglob("*")) == before


def test_import_of_vitjax_does_not_import_jax():
    code = "import sys, vitjax; print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
