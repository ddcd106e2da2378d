"""Whether a run has learnt anything yet."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_EPOCHS, _STEPS = 2, 100  # after which it should have
_MARGIN = 0.2  # of what an accuracy may lie above that of guessing, by chance


def chance(labels: np.ndarray) -> float:
    """Returns the accuracy of who always says the most frequent of labels [N]."""
    return float(np.bincount(labels).max() / len(labels))


def warning(lines: Sequence[Mapping[str, Any]], chance: float) -> str:
    """Returns what to say of a run whose last epochs are no better than chance; "" of another.

    `lines` are those of metrics.jsonl; it is said once, as soon as it can be.
    """
    due = [line["epoch"] >= _EPOCHS and line["step"] >= _STEPS for line in lines]
    if not due or not due[-1] or any(due[:-1]):
        return ""
    if not all(_is_chance(line, chance) for line in lines[-_EPOCHS:]):
        return ""
    last = lines[-1]
    return (
        f"after {last['epoch']} epochs the accuracy is what guessing gives ({chance:.3g}). Is the "
        f"learning rate of {last['lr']:.2g} too high, too low or still warming up? Do the labels "
        "belong to the images? Are config.data.mean and std those of the pixels, or is too much "
        "augmented, dropped out or frozen?"
    )


def _is_chance(line: Mapping[str, Any], chance: float) -> bool:
    most = chance + _MARGIN * chance * (1 - chance)
    return all(line.get(f"{split}_accuracy", 0.0) <= most for split in ("train", "valid"))
