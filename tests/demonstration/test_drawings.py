"""Digits as a user draws them, placed as the data sets have them."""

import numpy as np
import pytest

from vitjax.demonstration.drawings import inked, is_of_digits, placed


def test_gray_images_of_ten_digits_are_drawn():
    names = tuple("0123456789")
    assert is_of_digits(names, (28, 28, 1))
    assert is_of_digits(names[::-1], (8, 8, 1))
    assert not is_of_digits(names, (28, 28, 3))
    assert not is_of_digits((*names[:9], "X"), (28, 28, 1))


def test_a_bar_fills_the_box_of_mnist_in_the_middle():
    """50 x 10 pixels, wherever they are, become 20 x 4 of 28, shape kept."""
    drawing = np.zeros((280, 280), np.uint8)
    drawing[200:250, 30:40] = 255
    expected = np.zeros((28, 28), np.uint8)
    expected[4:24, 12:16] = 255
    np.testing.assert_array_equal(placed(drawing, "mnist"), expected)


def test_the_centre_of_mass_comes_to_the_middle():
    """A square of 10 with a thin tail of 10: the mass is in the square."""
    drawing = np.zeros((20, 20), np.uint8)
    drawing[:10, 5:15] = 255
    drawing[10:, 9:11] = 255
    image = placed(drawing, "mnist").astype(float)
    middle = image.sum(axis=1) @ (np.arange(28) + 0.5) / image.sum()
    assert abs(middle - 14) <= 0.5
    assert np.flatnonzero(image.any(axis=1))[0] > 4  # where the box alone would begin


@pytest.mark.parametrize(("columns", "expected"), [(2, 5), (10, 5), (13, 6), (40, 6)])
def test_scikit_learns_digits_fill_their_rows(columns, expected):
    drawing = np.zeros((60, 60), np.uint8)
    drawing[10:26, 10 : 10 + columns] = 255
    image = placed(drawing, "digits")
    assert image.shape == (8, 8)
    assert image.any(axis=1).all()
    assert image.any(axis=0).sum() == expected


@pytest.mark.parametrize(("name", "side"), [("mnist", 28), ("digits", 8), ("kmnist", 28)])
def test_nothing_drawn_is_all_dark(name, side):
    image = placed(np.zeros((280, 280), np.uint8), name)
    assert image.shape == (side, side)
    assert not image.any()


@pytest.mark.parametrize("dark_ink", [True, False])
def test_a_photographs_paper_is_dark_and_its_ink_light(dark_ink):
    paper = np.random.RandomState(0).normal(205 if dark_ink else 50, 3, (60, 60))
    paper[20:40, 28:32] = 40 if dark_ink else 215
    ink = inked(paper.clip(0, 255).astype(np.uint8))
    assert (ink[22:38, 28:32] > 240).all()
    outside = np.ones((60, 60), bool)
    outside[20:40, 28:32] = False
    assert not ink[outside].any()


def test_a_photograph_of_nothing_has_no_ink():
    assert not inked(np.full((30, 30), 200, np.uint8)).any()
