"""The mistakes that a run made on its test split, by how near they are to an answer."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vitjax.data.images import Images
from vitjax.errors import UserError
from vitjax.inference.evaluation_data import DataPlace, own_data
from vitjax.inference.predictor import Predictor
from vitjax.reporting.predictions import Predictions
from vitjax.runs.run_folder import RunFolder


class Mistake(NamedTuple):
    """An image that was taken for another class."""

    image: np.ndarray  # uint8 [H, W, C]
    truth: str
    predicted: str


class Mistakes:
    """All mistakes of a test split."""

    def __init__(self, predictions: Predictions, images: Images):
        self._all, self._images = predictions, images
        self._wrong = np.flatnonzero(predictions.predicted != predictions.labels)
        self._roots = np.sqrt(predictions.probabilities[self._wrong])

    def nearest(self, probabilities: np.ndarray, limit: int) -> list[Mistake]:
        """Returns those whose probabilities are most like the given ones [K], nearest first.

        By Hellinger's distance, of which this is the part that differs.
        """
        likeness = self._roots @ np.sqrt(probabilities)
        nearest = self._wrong[np.argsort(-likeness, kind="stable")[:limit]]
        images = self._images[nearest] if len(nearest) else ()
        return [
            Mistake(np.asarray(image), *self._all.truth_and_predicted(int(index)))
            for index, image in zip(nearest, images, strict=True)
        ]


def find_mistakes(predictor: Predictor, say: Callable[[str], None]) -> Mistakes | None:
    """Returns the mistakes of a run that was evaluated; says why where there are none to show."""
    path = predictor.workdir / "predictions.npz"
    if not path.exists():
        say(f"no mistakes are shown: python -m vitjax.evaluate --workdir={path.parent} finds them")
        return None
    try:
        predictions = Predictions.read(path)
        images = own_data(predictor, DataPlace(), lambda line: None).splits["test"].images
    except UserError as error:
        say(f"no mistakes are shown: {error}")
        return None
    if predictions.checkpoint != RunFolder(path.parent).evaluated_checkpoint():
        say(
            f"no mistakes are shown: {path} is of other weights; make it anew by python -m "
            f"vitjax.evaluate --workdir={path.parent}"
        )
        return None
    if len(images) != len(predictions.labels):
        say(f"no mistakes are shown: {path} is not of the images in the run's test split")
        return None
    return Mistakes(predictions, images)
