"""Each corruption's pixels by hand, and python -m vitjax.evaluate --corruptions."""

import json
import re
import shutil

import commands
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import vitjax
from vitjax import prng
from vitjax.data.dataset import Split
from vitjax.inference.corruptions import CORRUPTIONS, corrupt, corruption_numbers, examples
from vitjax.inference.evaluation import evaluate
from vitjax.inference.evaluation_data import DataPlace, own_data
from vitjax.inference.predictor import load_predictor

KEY = jax.random.key(0)
rng = np.random.default_rng(0)
photo = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
smooth = np.asarray(Image.fromarray(photo).resize((40, 32), Image.Resampling.BICUBIC))


def quiet(text):
    del text


def apply(name, image, strength):
    """The corruption before rounding, by one key."""
    return np.asarray(CORRUPTIONS[name].apply(KEY, jnp.float32(image), jnp.float32(strength)))


def test_contrast_moves_towards_each_channels_mean():
    image = np.array([[[0, 10], [100, 30]], [[200, 30], [100, 10]]], np.uint8)  # means 100, 20
    expected = [[[50, 15], [100, 25]], [[150, 25], [100, 15]]]
    np.testing.assert_allclose(apply("contrast", image, 0.5), expected, atol=1e-4)


def test_pixelate_shows_means_of_what_is_covered():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    halves = np.array([[2.5, 4.5], [10.5, 12.5]]).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(apply("pixelate", image, 0.5)[..., 0], halves, atol=1e-5)
    np.testing.assert_allclose(apply("pixelate", image, 0.01), np.full((4, 4, 1), 7.5), atol=1e-5)


@pytest.mark.parametrize("share", CORRUPTIONS["pixelate"].strengths)
def test_pixelate_averages_equal_parts_of_each_side(share):
    expected = smooth.astype(float)
    for axis, size in enumerate(smooth.shape[:2]):
        count = round(share * size)
        lines = np.moveaxis(expected, axis, 0).repeat(count, axis=0)
        means = lines.reshape(count, size, *lines.shape[1:]).mean(axis=1)
        nearest = ((np.arange(size) + 0.5) * count / size).astype(int)
        expected = np.moveaxis(means[nearest], 0, axis)
    np.testing.assert_allclose(apply("pixelate", smooth, share), expected, atol=1e-2)


def test_blur_is_scipys_with_weights_of_the_inside():
    sigma = 0.04 * min(smooth.shape[:2])
    options = dict(sigma=(sigma, sigma, 0), mode="constant", truncate=40.0)
    weights = ndimage.gaussian_filter(np.ones(smooth.shape), **options)
    expected = ndimage.gaussian_filter(smooth.astype(float), **options) / weights
    np.testing.assert_allclose(apply("blur", smooth, 0.04), expected, atol=1e-2)


def test_noise_has_the_deviation_of_its_strength():
    added = apply("noise", np.full((64, 64, 3), 128), 0.04) - 128
    assert added.mean() == pytest.approx(0, abs=0.3)
    assert added.std() == pytest.approx(0.04 * 255, rel=0.03)


def test_rotation_turns_either_way_about_the_centre():
    image = np.zeros((9, 9, 1), np.uint8)
    image[4, 4], image[4, 8] = 100, 200  # the centre stays, the right goes up or down
    places = set()
    for number in range(8):
        turned = corrupt("rotation", image[None], np.array([number]), np.float32(45))[0, ..., 0]
        assert turned[4, 4] == 100
        ((y, x),) = np.argwhere(turned == 200)
        places.add((int(y), int(x)))
    assert len(places) == 2
    assert {y < 4 for y, _ in places} == {True, False}
    assert all(abs(y - 4) in (2, 3) and x - 4 in (2, 3) for y, x in places)


def test_shift_moves_whole_pixels_along_both_sides():
    image = np.zeros((10, 20, 1), np.uint8)
    image[5, 10] = 200
    places = set()
    for number in range(32):
        moved = corrupt("shift", image[None], np.array([number]), np.float32(0.2))[0, ..., 0]
        ((y, x),) = np.argwhere(moved == 200)
        places.add((int(y), int(x)))
    assert places == {(y, x) for y in (3, 7) for x in (6, 14)}
    assert not moved[-2 if y < 5 else 0].any()  # what enters is 0


@pytest.mark.parametrize(
    ("name", "nothing"),
    [("noise", 0), ("blur", 1e-4), ("contrast", 1), ("pixelate", 1), ("rotation", 0), ("shift", 0)],
)
def test_damage_grows_from_none_with_the_strength(name, nothing):
    images, numbers = np.stack([smooth, smooth[::-1]]), np.arange(2, dtype=np.int32)
    same = corrupt(name, images, numbers, np.float32(nothing))
    np.testing.assert_array_equal(same, images)
    damage = [
        np.abs(np.float32(corrupt(name, images, numbers, np.float32(strength))) - images).mean()
        for strength in CORRUPTIONS[name].strengths
    ]
    assert damage[0] > 0
    assert damage == sorted(damage)


@pytest.mark.parametrize("name", ["noise", "shift"])
def test_an_image_is_corrupted_by_its_number_alone(name):
    images, numbers = rng.integers(0, 256, (5, 12, 12, 1), np.uint8), np.arange(5, dtype=np.int32)
    strength = np.float32(CORRUPTIONS[name].strengths[2])
    together = np.asarray(corrupt(name, images, numbers, strength))
    for i in range(5):
        alone = corrupt(name, images[i : i + 1], numbers[i : i + 1], strength)
        np.testing.assert_array_equal(alone[0], together[i])
    again = corrupt(name, images[:1], numbers[1:2], strength)
    assert not np.array_equal(again[0], together[0])
    key = jax.random.fold_in(prng.key(0), 3)
    own = CORRUPTIONS[name].apply(key, jnp.float32(images[3]), jnp.float32(strength))
    np.testing.assert_array_equal(together[3], np.clip(np.round(own), 0, 255))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_pixel_is_gathered(name):
    numbers, strength = np.arange(2, dtype=np.int32), np.float32(0.2)
    traced = corrupt.trace(name, np.stack([smooth] * 2), numbers, strength)
    for platform in ("tpu", "cuda"):
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert "gather" not in text


@pytest.mark.parametrize("name", ["blur", "shift"])
def test_more_of_large_images_take_no_more_memory(name):
    def temporary_bytes(num_images):
        images = jax.ShapeDtypeStruct((num_images, 1024, 1024, 3), jnp.uint8)
        numbers = jax.ShapeDtypeStruct((num_images,), jnp.int32)
        program = corrupt.lower(name, images, numbers, jax.ShapeDtypeStruct((), jnp.float32))
        memory = program.compile().memory_analysis().temp_size_in_bytes
        return memory - 3 * 2**20 * num_images  # the result, before it is laid out

    assert temporary_bytes(200) < 1.1 * temporary_bytes(20) < 2**30


@pytest.fixture(scope="module")
def measured(digits_run, tmp_path_factory):
    """A run that was evaluated with corruptions, and what the command printed."""
    workdir = shutil.copytree(digits_run, tmp_path_factory.mktemp("corrupted") / "run")
    out, _ = commands.main(f"--workdir={workdir}", "--corruptions", module="vitjax.evaluate")
    return workdir, out


@pytest.mark.slow
def test_the_command_measures_every_corruption(measured):
    workdir, out = measured
    found = json.loads((workdir / "corruptions.json").read_text())
    evaluated = json.loads((workdir / "eval.json").read_text())
    for name in ("split", "data_name", "step", "num_examples", "accuracy"):
        assert found[name] == evaluated[name]
    assert list(found["corruptions"]) == list(CORRUPTIONS)
    means = []
    for name, of in found["corruptions"].items():
        assert of["strengths"] == pytest.approx(CORRUPTIONS[name].strengths)
        means.append(np.mean(of["accuracy"]))
        cells = "  ".join(f"{accuracy:.4f}" for accuracy in [*of["accuracy"], means[-1]])
        assert f"{name:10}  {cells}\n" in out
    assert found["mean_accuracy"] == pytest.approx(np.mean(means))
    last = f"corrupted images {found['mean_accuracy']:.4f}, as they are {found['accuracy']:.4f}"
    assert out.endswith(f"{last}\n")


@pytest.mark.slow
def test_accuracies_are_those_of_the_corrupted_images(measured, monkeypatch):
    workdir, _ = measured
    predictor = load_predictor(workdir)
    split = own_data(predictor, DataPlace(), quiet).splits["test"]
    split = Split(split.images[:80], split.labels[:80], split.ids[:80])
    whole = corruption_numbers(predictor, split)
    strength = CORRUPTIONS["shift"].strengths[0]
    images = corrupt("shift", split.images, np.arange(len(split)), np.float32(strength))
    right = predictor.logits(np.asarray(images)).argmax(axis=1) == split.labels
    assert whole["corruptions"]["shift"]["accuracy"][0] == pytest.approx(right.mean())
    monkeypatch.setattr("vitjax.inference.predictor.Predictor.slice_size", lambda *_: 30)
    assert corruption_numbers(predictor, split) == whole


@pytest.mark.slow
def test_another_split_has_a_file_of_its_own(measured):
    workdir, _ = measured
    before = (workdir / "corruptions.json").read_text()
    found = vitjax.load(workdir).evaluate("valid", corruptions=True, say=quiet)
    assert found.corruptions["split"] == "valid"
    assert "mean accuracy on corrupted images" in str(found)
    written = json.loads((workdir / "corruptions-valid.json").read_text())
    del written["sha256"]
    assert written == found.corruptions
    assert (workdir / "corruptions.json").read_text() == before


def test_without_the_option_nothing_is_corrupted(own_run):
    found = evaluate(own_run, say=quiet)
    assert "corruptions" not in found
    assert not (own_run / "corruptions.json").exists()


def report(workdir, code=0):
    """Writes the report; returns its page and what was said of a mistake."""
    words = f"--workdir={workdir}", "--num_mistakes=0", "--num_maps=0"
    _, error = commands.main(*words, module="vitjax.report", code=code)
    page = workdir / "report" / "index.html"
    return page.read_text() if page.exists() else "", error


@pytest.mark.slow
def test_the_report_shows_them_where_they_were_measured(measured, own_run):
    workdir, _ = measured
    page, _ = report(workdir)
    found = json.loads((workdir / "corruptions.json").read_text())
    noise = re.search(r">noise</th>(.*?)</tr>", page)[1]
    shown = list(map(float, re.findall(r"<td>([\d.]+)</td>", noise)))
    accuracies = found["corruptions"]["noise"]["accuracy"]
    assert shown == pytest.approx([*accuracies, np.mean(accuracies)], abs=1e-4)
    for name in ("robustness.png", "corruptions.png"):
        assert (workdir / "report" / name).exists()
    page, _ = report(own_run)
    assert "Not measured; python -m vitjax.evaluate --corruptions measures it." in page
    assert not (own_run / "report" / "corruptions.png").exists()


def test_a_number_that_was_changed_is_noticed(measured, tmp_path):
    workdir = shutil.copytree(measured[0], tmp_path / "run")
    found = json.loads((workdir / "corruptions.json").read_text())
    (workdir / "corruptions.json").write_text(json.dumps(found | {"mean_accuracy": 0.99}))
    _, error = report(workdir, code=1)
    assert "corruptions.json was changed since it was written" in error


@pytest.mark.slow
def test_a_file_of_an_earlier_version_is_shown(measured, tmp_path):
    workdir = shutil.copytree(measured[0], tmp_path / "run")
    found = json.loads((workdir / "corruptions.json").read_text())
    del found["sha256"], found["checkpoint"]
    (workdir / "corruptions.json").write_text(json.dumps(found))
    page, _ = report(workdir)
    assert ">noise</th>" in page


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"checkpoint": "of another run"}, "is of other weights; run python -m vitjax.evaluate"),
        ({"step": 1}, "is of step 1, eval.json of step"),
        ({"mean_accuracy": 1.5}, "mean_accuracy is 1.5, expected at least 0 and at most 1"),
        ({"corruptions": {}}, "corruptions are not all of as many strengths"),
        ({"split": None}, "split is null, expected text"),
        (
            {"corruptions": {"fog": {"unit": "m", "strengths": [0.1], "accuracy": [0.5]}}},
            "is not of the corruptions that are known here; run python -m vitjax.evaluate",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_named(measured, tmp_path, change, expected):
    workdir = shutil.copytree(measured[0], tmp_path / "run")
    found = json.loads((workdir / "corruptions.json").read_text())
    del found["sha256"]  # as if it had been written so
    (workdir / "corruptions.json").write_text(json.dumps(found | change))
    _, error = report(workdir, code=1)
    assert "corruptions.json" in error
    assert expected in error
    assert error.count("\n") == 1


def test_examples_are_the_images_that_were_measured():
    shown = examples(smooth, 7)
    assert shown.shape == (6, 5, *smooth.shape)
    strength = np.float32(CORRUPTIONS["shift"].strengths[4])
    expected = corrupt("shift", np.stack([smooth] * 2), np.array([3, 7]), strength)[1]
    np.testing.assert_array_equal(shown[list(CORRUPTIONS).index("shift"), 4], expected)
