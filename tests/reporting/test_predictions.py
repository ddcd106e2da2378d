"""Mistakes, captions and files of predictions small enough to count."""

import io

import numpy as np
import pytest
from PIL import Image

from vitjax.errors import UserError
from vitjax.reporting.predictions import (
    Predictions,
    most_confident_mistakes,
    rights_and_mistakes,
    thumbnail,
)


def predictions():
    """Four images of which the second and the fourth are taken for "dog" wrongly."""
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7], [0.1, 0.9], [0.2, 0.8]])
    ids = np.array(["a", "b", "c", "d"])
    return Predictions(probabilities, np.array([0, 0, 1, 0]), ids, ("cat", "dog"))


def test_mistakes_come_with_the_most_probable_first():
    assert list(most_confident_mistakes(predictions(), limit=9)) == [3, 1]
    assert list(most_confident_mistakes(predictions(), limit=1)) == [3]


def test_examples_are_half_right_and_half_wrong():
    assert list(rights_and_mistakes(predictions(), limit=2)) == [0, 3]
    assert list(rights_and_mistakes(predictions(), limit=9)) == [0, 2, 3, 1]


def test_images_are_found_by_their_ids():
    assert list(predictions().find(["d", "a"])) == [3, 0]
    with pytest.raises(UserError, match=r"no image 'x'; ids are as in .* from 'a' to 'd'"):
        predictions().find(["a", "x"])


def test_predictions_are_read_from_their_file(tmp_path):
    path = tmp_path / "predictions.npz"
    predictions().write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.npz"]
    read = Predictions.read(path)
    assert read.class_names == ("cat", "dog")
    assert list(read.find(["c"])) == [2]
    np.testing.assert_array_equal(read.probabilities, predictions().probabilities)


@pytest.mark.parametrize("content", [b"", b"text", b"PK"])
def test_damaged_predictions_are_named(content, tmp_path):
    path = tmp_path / "predictions.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"predictions\.npz is damaged"):
        Predictions.read(path)


def test_absent_predictions_are_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*predictions\.npz: No such file"):
        Predictions.read(tmp_path / "predictions.npz")


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0.0, 0.0, 1.0, 0.0])},
        {"labels": np.array([0, 0, 2, 0])},
        {"probabilities": np.full((4, 2), np.nan)},
        {"probabilities": np.full((4, 3), 0.5)},
        {"ids": np.array(["a"])},
        {"class_names": ("cat",)},
    ],
)
def test_arrays_that_do_not_fit_are_damage(changes, tmp_path):
    predictions()._replace(**changes).write(tmp_path / "predictions.npz")
    with pytest.raises(UserError, match=r"predictions\.npz is damaged"):
        Predictions.read(tmp_path / "predictions.npz")


def test_captions():
    assert predictions().caption(0) == "cat, recognised with 60.0% (a)"
    assert predictions().caption(3) == "cat, taken for dog with 80.0% (d)"


@pytest.mark.parametrize("channels", [1, 3])
def test_thumbnail_keeps_small_pixels_and_shrinks_large_images(channels):
    pixels = np.random.RandomState(0).randint(0, 256, (8, 6, channels), np.uint8)
    with Image.open(io.BytesIO(thumbnail(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    with Image.open(io.BytesIO(thumbnail(pixels.repeat(40, 0).repeat(40, 1)))) as image:
        assert image.size == (72, 96)
