"""Which images of a data set are the same, in two splits or under two labels, and which classes."""

import bisect
import hashlib
import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vitjax.data.dataset import Dataset, Split
from vitjax.text import printable

_SAMPLE = 256  # bytes in the middle of an image: two that share them are mostly the same
_SHOWN = 3  # examples in a warning


class Place(NamedTuple):
    """Where an image is in a data set."""

    split: str
    number: int  # from 0


class Repeats(NamedTuple):
    """The images that occur more than once, by the places of each."""

    groups: Sequence[Sequence[Place]]

    def shared(self, split: str, other: str) -> list[tuple[Place, Place]]:
        """Returns each image of `split` that is in `other` too, and the first place there."""
        return [
            (place, next(twin for twin in group if twin.split == other))
            for group in self.groups
            if any(twin.split == other for twin in group)
            for place in group
            if place.split == split
        ]

    def again(self, split: str) -> int:
        """Returns how many images of a split repeat an earlier one of it."""
        counts = (sum(place.split == split for place in group) for group in self.groups)
        return sum(max(count - 1, 0) for count in counts)

    def contradictory(self, dataset: Dataset) -> list[Sequence[Place]]:
        """Returns the groups whose images bear different labels."""
        return [group for group in self.groups if len({label(dataset, p) for p in group}) > 1]


def label(dataset: Dataset, place: Place) -> str:
    """Returns the name of an image's class."""
    return dataset.class_names[dataset.splits[place.split].labels[place.number]]


def name(dataset: Dataset, place: Place) -> str:
    """Returns what an image is called; behind its split, unless that is a part of it."""
    id = str(dataset.splits[place.split].ids[place.number])
    return id if id.startswith(f"{place.split}/") else f"{place.split}:{id}"


def repeats(keys: Mapping[str, np.ndarray]) -> Repeats:
    """Groups images by their keys, uint64 [N] of each split: equal where images are; 0: unknown."""
    everything = np.concatenate(list(keys.values()))
    starts = list(itertools.accumulate((len(of) for of in keys.values()), initial=0))[:-1]
    splits = list(keys)
    _, number, counts = np.unique(everything, return_inverse=True, return_counts=True)
    groups: dict[int, list[Place]] = {}
    for i in np.flatnonzero((counts[number] > 1) & (everything != 0)).tolist():
        split = bisect.bisect(starts, i) - 1
        groups.setdefault(int(number[i]), []).append(Place(splits[split], i - starts[split]))
    return Repeats(list(groups.values()))


def key(image: np.ndarray) -> int:
    """Returns 64 bits that differ between different images, uint8 [H, W, C]."""
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(image).data)
    return int.from_bytes(digest.digest(), "little")


def keys_at_rest(splits: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a key of each image, uint64 [N], of splits in memory, uint8 [N, H, W, C].

    Looks at the middle of each, and at all of those whose middle another one has: in a twentieth
    of the time that hashing all takes.
    """
    middles = np.concatenate(
        [_middle(images.reshape(len(images), -1)) for images in splits.values()]
    )
    _, number, counts = np.unique(middles, return_inverse=True, return_counts=True)
    ends = np.cumsum([len(images) for images in splits.values()])[:-1]
    keys, often = (np.split(of, ends) for of in (middles, counts[number] > 1))
    for images, of_split, shared in zip(splits.values(), keys, often, strict=True):
        for i in np.flatnonzero(shared):
            of_split[i] = key(images[i])
    return dict(zip(splits, keys, strict=True))


def _middle(rows: np.ndarray) -> np.ndarray:
    """Returns 64 bits of the middle bytes of each row, uint8 [N, B] -> uint64 [N]."""
    size = min(_SAMPLE, rows.shape[1] // 8 * 8)
    start = (rows.shape[1] - size) // 2
    words = np.ascontiguousarray(rows[:, start : start + size]).view(np.uint64)
    odd = 2 * np.random.RandomState(0).randint(2**62, size=size // 8, dtype=np.uint64) + 1
    return (words * odd).sum(axis=1, dtype=np.uint64)


def warnings(dataset: Dataset) -> list[str]:
    """Returns what is hardly meant: images of test in train or under two labels, a class twice.

    Compares the pixels of images in memory; others, which would have to be read, by their names.
    """
    splits = dataset.splits
    if all(type(split.images) is np.ndarray for split in splits.values()):
        found = repeats(keys_at_rest({n: split.images for n, split in splits.items()}))  # type: ignore
        told = [in_both(dataset, found, "test", "train"), two_labels(dataset, found)]
    else:
        told = [_listed_in_both(splits)]
    return [text for text in (*told, look_alike(dataset.class_names)) if text]


def _listed_in_both(splits: Mapping[str, Split]) -> str:
    """Returns how many images of test are in train by their names; "" for none."""
    if "test" not in splits:
        return ""
    listed = set(splits["train"].ids.tolist()).intersection(splits["test"].ids.tolist())
    return f"{share(len(listed), splits['test'], 'test')} listed in train too" if listed else ""


def look_alike(class_names: Sequence[str]) -> str:
    """Returns which classes differ in what does not show alone; "" for none.

    That is how Unicode composes a letter, characters without width, and the kind of a space.
    """
    groups: dict[str, list[str]] = {}
    for name in class_names:
        shown = "".join(c for c in name if unicodedata.category(c) != "Cf")
        groups.setdefault(" ".join(unicodedata.normalize("NFC", shown).split()), []).append(name)
    alike = [names for names in groups.values() if len(names) > 1]
    if not alike:
        return ""
    return (
        f"{sum(map(len, alike)):,} of {len(class_names):,} classes have names that look alike "
        f"({some([' = '.join(map(ascii, names)) for names in alike])}); write them in one way if "
        "they are one"
    )


def in_both(dataset: Dataset, found: Repeats, split: str, other: str) -> str:
    """Returns which images of `split` are in `other` too; "" for none."""
    if split not in dataset.splits or not (pairs := found.shared(split, other)):
        return ""
    shown = [" = ".join(name(dataset, place) for place in pair) for pair in pairs]
    whole = dataset.splits[split]
    copy = ": one may be a copy of the other" if len(pairs) == len(whole) else ""
    return f"{share(len(pairs), whole, split)} in {other} too{copy} ({some(shown)})"


def two_labels(dataset: Dataset, found: Repeats) -> str:
    """Returns which images are there under two labels or more; "" for none."""
    if not (groups := found.contradictory(dataset)):
        return ""
    shown = []
    for first, *others in groups:
        other = next(place for place in others if label(dataset, place) != label(dataset, first))
        named = (f"{name(dataset, p)} ({label(dataset, p)})" for p in (first, other))
        shown.append(" = ".join(named))
    what = "image is" if len(groups) == 1 else "images are"
    return f"{len(groups):,} {what} there under several labels ({some(shown)})"


def share(count: int, split: Split, split_name: str) -> str:
    """Returns "2 of 50 images of test are"."""
    verb = "is" if count == 1 else "are"
    return f"{count:,} of {len(split):,} images of {split_name} {verb}"


def some(texts: Sequence[str]) -> str:
    """Returns the first of some texts, and how many there are besides."""
    more = f", and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return printable(", ".join(texts[:_SHOWN])) + more
