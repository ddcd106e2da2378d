"""Confusions from a matrix small enough to count."""

import numpy as np
import pytest

from vitjax.reporting.confusion import confusion_picture, most_confused
from vitjax.reporting.drawing import svg

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
