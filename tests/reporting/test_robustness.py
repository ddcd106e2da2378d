"""The table and the pictures of corruptions."""

import numpy as np

from vitjax.reporting.drawing import svg
from vitjax.reporting.robustness import (
    Robustness,
    corruptions_picture,
    robustness_picture,
    robustness_section,
    robustness_table,
)

NUMBERS = {
    "split": "test", "data_name": "made_up", "step": 3, "num_examples": 40, "accuracy": 0.9,
    "mean_accuracy": 0.5,
    "corruptions": {
        "noise": {"unit": "deviation", "strengths": [0.1, 0.2], "accuracy": [0.8, 0.6]},
        "shift": {"unit": "of a side", "strengths": [0.3, 0.4], "accuracy": [0.4, 0.2]},
    },
}  # fmt: skip


def test_table():
    assert robustness_table(NUMBERS).splitlines() == [
        "corruption       1       2    mean",
        "noise       0.8000  0.6000  0.7000",
        "shift       0.4000  0.2000  0.3000",
        "mean        0.6000  0.4000  0.5000",
        "mean accuracy on corrupted images 0.5000, as they are 0.9000",
    ]


def test_curves_begin_at_the_accuracy_without_corruption():
    picture = robustness_picture(NUMBERS)
    (axes,) = picture.figure.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert lines["noise"] == [0.9, 0.8, 0.6]
    assert lines["mean of all"] == [0.5, 0.5]
    assert "50.0% on the mean, least under shift (30.0%), most under noise (70.0%)" in picture.alt


def test_images_stand_in_a_row_for_each_corruption_behind_the_image_itself():
    for size, channels in ((16, 1), (16, 3), (200, 3)):
        image = np.full((size, size, channels), 255, np.uint8)
        examples = np.zeros((2, 2, size, size, channels), np.uint8)
        picture = corruptions_picture(Robustness(NUMBERS, image, examples))
        (axes,) = picture.figure.axes
        (shown,) = axes.get_images()
        sheet = np.asarray(shown.get_array())
        assert max(sheet.shape[:2]) < 340
        assert sheet[8, 8].tolist() == [1, 1, 1, 1]
        assert sheet[8, -8].tolist() == [0, 0, 0, 1]
        assert [text.get_text() for text in axes.get_yticklabels()] == ["noise", "shift"]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["none", "1", "2"]
        assert "<image" in svg(picture.figure, "test")


def test_section_says_what_the_strengths_are():
    image = np.zeros((8, 8, 1), np.uint8)
    shown = Robustness(NUMBERS, image, np.zeros((2, 2, 8, 8, 1), np.uint8))
    text = "".join(item for item in robustness_section(shown).items if isinstance(item, str))
    assert "<td>0.3, 0.4</td><td>of a side</td>" in text
    assert "Accuracy on 40 corrupted images" in text
