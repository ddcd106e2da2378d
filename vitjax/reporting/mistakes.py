"""The images a model is most wrong about."""

import io

import numpy as np


def most_confident_mistakes(
    probabilities: np.ndarray, labels: np.ndarray, limit: int
) -> np.ndarray:
    """Returns the indices of wrong predictions [N, K] vs [N], the most probable first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order[:limit]]


def thumbnail(image: np.ndarray, size: int = 96) -> bytes:
    """Returns an image, uint8 [H, W, C], as a PNG file of at most `size` pixels a side."""
    from PIL import Image

    picture = Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image)
    picture.thumbnail((size, size))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
