"""Digits drawn by hand or photographed, placed as those that a model was trained on."""

import numpy as np


def is_of_digits(class_names: tuple[str, ...], image_shape: tuple[int, int, int]) -> bool:
    """Whether a run classifies gray images of the ten digits."""
    return image_shape[2] == 1 and set(class_names) == set("0123456789")


def placed(ink: np.ndarray, data_name: str) -> np.ndarray:
    """A digit, light on dark, uint8 [H, W] -> uint8 [side, side] as the data set has them.

    Sets other than "digits" are taken to be like MNIST. Without ink: all dark.
    """
    place = _as_scikit_learn if data_name == "digits" else _as_mnist
    rows, columns = (np.flatnonzero(ink.max(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return place(np.zeros((1, 1), np.uint8))
    return place(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _as_mnist(digit: np.ndarray) -> np.ndarray:
    """Fits a digit, shape kept, into 20 of 28 pixels, its centre of mass in the middle.

    As MNIST was made (http://yann.lecun.com/exdb/mnist).
    """
    height, width = (max(1, round(20 * length / max(digit.shape))) for length in digit.shape)
    scaled = _resized(digit, height, width)
    return _on_dark(scaled, 28, *(_middle(scaled.sum(axis=axis, dtype=float)) for axis in (1, 0)))


def _as_scikit_learn(digit: np.ndarray) -> np.ndarray:
    """Stretches a digit to all 8 rows and 5 or 6 of 8 columns, which those digits have."""
    width = min(max(round(8 * digit.shape[1] / digit.shape[0]), 5), 6)
    return _on_dark(_resized(digit, 8, width), 8, 4, width / 2)


def _resized(digit: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(digit).resize((width, height), Image.Resampling.BOX))


def _middle(ink: np.ndarray) -> float:
    """Returns the centre of mass along an axis, in pixels from its start."""
    total = ink.sum()
    return float(ink @ (np.arange(len(ink)) + 0.5) / total) if total else len(ink) / 2


def _on_dark(digit: np.ndarray, side: int, row: float, column: float) -> np.ndarray:
    """Puts a digit's point (row, column) in the middle of a dark square, as far as it fits in."""
    square = np.zeros((side, side), np.uint8)
    height, width = digit.shape
    top = min(max(round(side / 2 - row), 0), side - height)
    left = min(max(round(side / 2 - column), 0), side - width)
    square[top : top + height, left : left + width] = digit
    return square


def inked(photo: np.ndarray) -> np.ndarray:
    """A photograph of a digit, uint8 [H, W] -> its ink, light on dark, uint8 [H, W].

    What lies along the border is paper, dark or light; what differs from it by less than its own
    noise and a quarter of the ink's contrast is paper too.
    """
    values = photo.astype(np.float32)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    paper, noise = np.median(border), border.std()
    ink = values - paper if paper < 128 else paper - values
    strongest = max(float(np.percentile(ink, 99.5)), 1.0)
    ink[ink < max(3 * noise, strongest / 4)] = 0
    return (np.clip(ink / strongest, 0, 1) * 255).astype(np.uint8)
