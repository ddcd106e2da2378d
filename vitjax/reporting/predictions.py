"""What a model says of a split, image by image, and its most confident mistakes."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vitjax import files
from vitjax.errors import UserError
from vitjax.reporting.page import Photo, Section, note


class Predictions(NamedTuple):
    """What a model says of a split, as in predictions.npz."""

    probabilities: np.ndarray  # float32 [N, K]
    labels: np.ndarray  # int [N]
    ids: np.ndarray  # str [N], what to call each image
    class_names: tuple[str, ...]  # [K]
    checkpoint: str = ""  # tells whose weights said so; runs/manifest.digest

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Reads predictions.npz; raises UserError if it is absent or damaged."""
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in cls._fields if name in file}
            found = cls(**{**arrays, **_texts(arrays)})
            if not found._is_whole():
                raise ValueError("arrays that do not fit one another")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        except (KeyError, EOFError, TypeError, ValueError, zlib.error, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged; delete it to have it made anew") from error
        return found

    def _is_whole(self) -> bool:
        shape = len(self.labels), len(self.class_names)
        return bool(
            self.probabilities.shape == shape
            and self.ids.shape == self.labels.shape == shape[:1]
            and np.isfinite(self.probabilities).all()
            and self.labels.dtype.kind in "iu"
            and np.isin(self.labels, range(shape[1])).all()
            and shape[0]
        )

    def write(self, path: Path) -> None:
        """Writes predictions.npz whole or not at all."""
        arrays: Any = dict(zip(self._fields, map(np.asarray, self), strict=True))
        with files.replacing(path) as file:
            np.savez(file, **arrays)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image [N]."""
        return self.probabilities.argmax(axis=1)

    def find(self, ids: Sequence[str]) -> np.ndarray:
        """Returns the indices of images; raises UserError for an id that is none."""
        places = {name: index for index, name in enumerate(self.ids)}
        unknown = [name for name in ids if name not in places]
        if unknown:
            first, last = str(self.ids[0]), str(self.ids[-1])
            raise UserError(
                f"no image {unknown[0]!r}; ids are as in predictions.npz, from {first!r} to "
                f"{last!r}"
            )
        return np.array([places[name] for name in ids], int)

    def truth_and_predicted(self, index: int) -> tuple[str, str]:
        """Returns the names of an image's class and of the predicted one."""
        predicted = self.probabilities[index].argmax()
        return self.class_names[self.labels[index]], self.class_names[predicted]

    def caption(self, index: int) -> str:
        """Returns what the model says of an image, in words."""
        truth, predicted = self.truth_and_predicted(index)
        verdict = "recognised" if truth == predicted else f"taken for {predicted}"
        probability = self.probabilities[index].max()
        return f"{truth}, {verdict} with {probability:.1%} ({self.ids[index]})"


def _texts(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns those of the arrays in predictions.npz that hold texts, as Predictions has them."""
    return {
        "ids": arrays["ids"].astype(str),
        "class_names": tuple(map(str, arrays["class_names"])),
        "checkpoint": str(arrays.get("checkpoint", "")),
    }


def most_confident_mistakes(predictions: Predictions, limit: int) -> np.ndarray:
    """Returns the indices of at most `limit` wrong predictions, the most probable first."""
    predicted = predictions.predicted
    wrong = np.flatnonzero(predicted != predictions.labels)
    order = np.argsort(-predictions.probabilities[wrong, predicted[wrong]], kind="stable")
    return wrong[order[:limit]]


def rights_and_mistakes(predictions: Predictions, limit: int) -> np.ndarray:
    """Returns the indices of at most `limit` images: first right ones, then mistakes, half each.

    Of the right ones the first of each class, of the mistakes the most confident.
    """
    mistakes = most_confident_mistakes(predictions, limit // 2)
    right = np.flatnonzero(predictions.predicted == predictions.labels)
    _, first = np.unique(predictions.labels[right], return_index=True)
    return np.concatenate([right[first][: limit - len(mistakes)], mistakes])


def thumbnail(image: np.ndarray, size: int = 96) -> bytes:
    """Returns an image, uint8 [H, W, C], as a PNG file of at most `size` pixels a side."""
    from PIL import Image

    picture = Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image)
    picture.thumbnail((size, size))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def mistakes_section(predictions: Predictions, images: np.ndarray, limit: int) -> Section:
    """The wrong predictions of images uint8 [N, H, W, C] that were most probable."""
    title = "Most confident mistakes"
    total = int((predictions.predicted != predictions.labels).sum())
    if not total:
        return Section(title, [note("Every image is classified rightly.")])
    photos = []
    for rank, i in enumerate(most_confident_mistakes(predictions, limit), start=1):
        truth, predicted = predictions.truth_and_predicted(i)
        alt = f"An image of {truth} that the model takes for {predicted}"
        photo = Photo(f"mistake_{rank:02}", alt, predictions.caption(i), thumbnail(images[i]))
        photos.append(photo)
    intro = f"{len(photos)} of {total:,} mistakes, those with the highest probability first."
    return Section(title, [note(intro), *photos])
