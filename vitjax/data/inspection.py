"""Looks at every image of a data set as it is stored, once; keeps a few numbers of each."""

import dataclasses
import io
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vitjax.data import duplicates
from vitjax.data.dataset import Dataset
from vitjax.data.duplicates import Place, Repeats
from vitjax.data.images import Images, StoredImages
from vitjax.data.readers.pixels import (
    ORIENTATION,
    open_image,
    to_array,
    transparent,
    why_unreadable,
)
from vitjax.errors import UserError
from vitjax.machine.host import num_cores

if TYPE_CHECKING:
    from PIL import Image

FACTS = np.dtype(
    [
        ("key", np.uint64),  # of the pixels, upright and on white; 0: cannot be read
        ("height", np.uint32),  # pixels, upright
        ("width", np.uint32),
        ("mode", "S6"),  # as PIL calls it
        ("orientation", np.uint8),  # of EXIF; 1: upright as it is stored
        ("transparent", bool),  # has such pixels
        ("constant", bool),  # one colour throughout
    ]
)
_SLICE = 32  # images that a thread looks at before it takes others
_SAY_SECONDS = 10


class Damage(NamedTuple):
    """An image that cannot be read."""

    place: Place
    reason: str


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What every image of a data set is."""

    dataset: Dataset  # as `source.listed` gives it
    facts: Mapping[str, np.ndarray]  # FACTS [N] of each split
    damaged: Sequence[Damage]

    @property
    def repeats(self) -> Repeats:
        """The images that are the same, whatever the kinds of their files."""
        return duplicates.repeats({split: facts["key"] for split, facts in self.facts.items()})

    def image(self, place: Place) -> np.ndarray:
        """Reads an image that is not damaged again, uint8 [H, W, C]."""

        images = self.dataset.splits[place.split].images
        if not isinstance(images, StoredImages):
            return images[place.number]
        with open_image(images.files(np.array([place.number]))[0]) as image:
            return _upright(image)


def inspect(dataset: Dataset, say: Callable[[str], None] = print) -> Inspection:
    """Decodes all images of a set that `source.listed` gives, a few at a time.

    Damaged ones do not stop it. `say` gets a line when it begins, and one every ten seconds.
    """
    facts, damaged = {}, []
    for name, split in dataset.splits.items():
        say(f"looking at {dataset.name}/{name}: {len(split):,} images")
        facts[name] = np.zeros(len(split), FACTS)
        for number, reason in _look_at_all(split.images, facts[name], say):
            damaged.append(Damage(Place(name, number), reason))
    return Inspection(dataset, facts, damaged)


def _look_at_all(
    images: Images, facts: np.ndarray, say: Callable[[str], None]
) -> list[tuple[int, str]]:
    """Fills `facts` [N]; returns number and reason of the images that cannot be read."""
    said, failed = time.monotonic(), []
    starts = range(0, len(facts), _SLICE)

    def look(start: int) -> list[tuple[int, str]]:
        return _look(images, np.arange(start, min(start + _SLICE, len(facts))), facts)

    with ThreadPoolExecutor(min(8, num_cores())) as pool:
        for start, found in zip(starts, pool.map(look, starts), strict=True):
            failed += found
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                say(f"looked at {start:,} of {len(facts):,}")
    return failed


def _look(images: Images, index: np.ndarray, facts: np.ndarray) -> list[tuple[int, str]]:
    """Fills `facts` at `index`; returns number and reason of the images that cannot be read."""
    if not isinstance(images, StoredImages):
        for i in index:
            facts[i] = _of_pixels(images[int(i)])
        return []
    failed = []
    for i, file in zip(index, _files(images, index), strict=True):
        try:
            facts[i] = _of_file(file)
        except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
            failed.append((int(i), why_unreadable(error)))
    return failed


def _files(images: StoredImages, index: np.ndarray) -> Sequence[str | io.BytesIO | UserError]:
    """Returns the files at `index`; in place of one that cannot be read, why."""
    try:
        return images.files(index)
    except UserError as error:
        if len(index) == 1:
            return [error]
        return [_files(images, one)[0] for one in index[:, None]]


def _of_file(file: str | io.BytesIO | UserError) -> tuple:
    """Returns the FACTS of an image file; raises what opening and decoding it raises."""

    if isinstance(file, UserError):
        raise file
    with open_image(file) as image:
        mode, orientation = image.mode, image.getexif().get(ORIENTATION, 1)
        lets_through = image.has_transparency_data and bool(transparent(image).any())
        key, height, width, _, _, _, constant = _of_pixels(_upright(image))
    return key, height, width, mode, orientation, lets_through, constant


def _of_pixels(pixels: np.ndarray) -> tuple:
    """Returns the FACTS of an image, uint8 [H, W, 1 or 3]."""
    height, width, channels = pixels.shape
    mode, constant = "L" if channels == 1 else "RGB", bool((pixels == pixels[:1, :1]).all())
    return duplicates.key(pixels), height, width, mode, 1, False, constant


def _upright(image: "Image.Image") -> np.ndarray:
    """Returns an opened image as RGB, uint8 [H, W, 3]."""
    return to_array(image, None, 3, "resize")
