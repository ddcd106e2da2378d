"""Confusions, mistakes and text from predictions small enough to count."""

import io

import numpy as np
import pytest
from PIL import Image

from vitjax.errors import UserError
from vitjax.reporting.confusion import confusion_picture, most_confused
from vitjax.reporting.examples import (
    Predictions,
    most_confident_mistakes,
    rights_and_mistakes,
    thumbnail,
)
from vitjax.reporting.figures import svg
from vitjax.reporting.markup import Html, table, tag, void

MATRIX = np.array([[8, 2, 0], [0, 5, 0], [3, 0, 3]])  # rows are truths


def test_most_confused_are_the_largest_cells_off_the_diagonal():
    first, second = most_confused(MATRIX, ("cat", "dog", "emu"), limit=5)
    assert first == ("emu", "cat", 3, 0.5)
    assert second == ("cat", "dog", 2, 0.2)


def test_confusion_picture_says_what_it_shows():
    picture = confusion_picture(MATRIX, ("cat", "dog", "emu"))
    assert "16 of 21 images on the diagonal" in picture.alt
    assert "emu was taken for cat (3, 50.0% of that class)" in picture.alt


@pytest.mark.parametrize(("num_classes", "numbers"), [(10, 10), (100, 0)])
def test_cells_are_numbered_where_there_is_room(num_classes, numbers):
    names = [f"class_{i}" for i in range(num_classes)]
    drawing = svg(confusion_picture(7777 * np.eye(num_classes, dtype=int), names).figure, "a")
    assert drawing.count(">7,777<") == numbers
    assert drawing.count(">class_9<") == 2  # on both axes


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
    np.savez(path, **predictions()._asdict())
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


def test_figures_take_the_colour_of_the_page():
    drawing = svg(confusion_picture(MATRIX, ("<b>", "dog", "emu")).figure, "a")
    assert "currentColor" in drawing
    assert "#000000" not in drawing
    assert "<b>" not in drawing


def test_markup_escapes_what_is_not_html():
    assert tag("p", "<b> & c", Html("<i>d</i>")) == "<p>&lt;b&gt; &amp; c<i>d</i></p>"
    assert void("img", src='"', alt=None, data_x=1) == '<img src="&quot;" data-x="1">'
    assert "<td>&lt;3</td>" in table("A & B", ("x", "y"), [("1", "<3")])
