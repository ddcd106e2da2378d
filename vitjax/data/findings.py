"""What looking at every image of a data set has found, as plain values that JSON can hold."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vitjax.data import duplicates
from vitjax.data.dataset import Dataset
from vitjax.data.duplicates import Place, Repeats
from vitjax.data.inspection import Inspection

_PAIRS = (("test", "train"), ("test", "valid"), ("valid", "train"))


def findings(found: Inspection, image_size: int) -> dict[str, Any]:
    """Returns errors and warnings, a line each, numbers of each split, and the images concerned.

    `image_size` is the side that a run makes all images to, in pixels; 0: none.
    """
    dataset, repeats = found.dataset, found.repeats
    constant = [
        Place(split, number)
        for split, facts in found.facts.items()
        for number in np.flatnonzero(facts["constant"]).tolist()
    ]
    return {
        "name": dataset.name,
        "class_names": list(dataset.class_names),
        "errors": [*_damage(found), *_sizes(found, image_size)],
        "warnings": _warnings(dataset, repeats, constant),
        "splits": {split: _numbers(found, split, repeats) for split in dataset.splits},
        "damaged": [_image(dataset, d.place) | {"reason": d.reason} for d in found.damaged],
        "repeats": [[_image(dataset, place) for place in group] for group in repeats.groups],
        "constant": [_image(dataset, place) for place in constant],
    }


def _image(dataset: Dataset, place: Place) -> dict[str, Any]:
    return {
        **place._asdict(),
        "id": str(dataset.splits[place.split].ids[place.number]),
        "class": duplicates.label(dataset, place),
    }


def _numbers(found: Inspection, split: str, repeats: Repeats) -> dict[str, Any]:
    """Returns the numbers of a split; all but the first two are of the images that can be read."""
    of = found.dataset.splits[split]
    facts = found.facts[split][found.facts[split]["key"] != 0]
    counts = np.bincount(of.labels, minlength=found.dataset.num_classes)
    return {
        "num_images": len(of),
        "classes": dict(zip(found.dataset.class_names, counts.tolist(), strict=True)),
        "damaged": len(of) - len(facts),
        "repeated": repeats.again(split),
        "constant": int(facts["constant"].sum()),
        "transparent": int(facts["transparent"].sum()),
        "heights": _range(facts["height"]),
        "widths": _range(facts["width"]),
        "modes": _counts(facts["mode"].astype(str)),
        "orientations": _counts(facts["orientation"]),
    }


def _range(sizes: np.ndarray) -> dict[str, float] | None:
    """Returns the least, the middle and the largest of sizes in pixels; None without any."""
    if not len(sizes):
        return None
    return {"min": int(sizes.min()), "median": float(np.median(sizes)), "max": int(sizes.max())}


def _counts(values: np.ndarray) -> dict[str, int]:
    """Returns how often each value occurs, the most frequent first."""
    names, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(names[i]): int(counts[i]) for i in order}


def _damage(found: Inspection) -> Iterable[str]:
    for split, of in found.dataset.splits.items():
        places = [damage for damage in found.damaged if damage.place.split == split]
        if places:
            shown = [f"{duplicates.name(found.dataset, d.place)} ({d.reason})" for d in places]
            yield (
                f"{len(places):,} of {len(of):,} images of {split} cannot be read: "
                f"{duplicates.some(shown)}; remove them or replace them by good copies"
            )


def _sizes(found: Inspection, image_size: int) -> Iterable[str]:
    facts = np.concatenate(list(found.facts.values()))
    sizes = np.unique(facts[facts["key"] != 0][["height", "width"]])
    if not image_size and len(sizes) > 1:
        heights, widths = sizes["height"], sizes["width"]
        yield (
            f"images differ in size, from {heights.min()} to {heights.max()} rows and from "
            f"{widths.min()} to {widths.max()} columns; set config.data.image_size"
        )


def _warnings(dataset: Dataset, repeats: Repeats, constant: Sequence[Place]) -> list[str]:
    told = [duplicates.in_both(dataset, repeats, *pair) for pair in _PAIRS]
    told.append(duplicates.two_labels(dataset, repeats))
    told.append(duplicates.look_alike(dataset.class_names))
    for split, of in dataset.splits.items():
        if again := repeats.again(split):
            copies = "a copy of an earlier one" if again == 1 else "copies of earlier ones"
            told.append(f"{duplicates.share(again, of, split)} {copies}")
        names = [duplicates.name(dataset, place) for place in constant if place.split == split]
        if names:
            share = duplicates.share(len(names), of, split)
            told.append(f"{share} of one colour throughout ({duplicates.some(names)})")
        present = set(np.unique(of.labels).tolist())
        absent = [name for i, name in enumerate(dataset.class_names) if i not in present]
        if absent:
            classes = "1 class" if len(absent) == 1 else f"{len(absent):,} classes"
            told.append(f"{split} has no image of {classes}: {duplicates.some(absent)}")
    return [text for text in told if text]
