"""How far probabilities can be trusted, and the temperature that mends them."""

from typing import Any

import numpy as np

_BINS = 15
_COLDEST, _HOTTEST = 0.01, 100.0  # between which the temperature is looked for


def calibration(
    logits: np.ndarray, labels: np.ndarray, temperature: float | None
) -> dict[str, Any]:
    """Returns ECE with its bins, and NLL, of logits [N, K], and both scaled by a temperature."""
    bins = confidence_bins(softmax(logits), labels)
    scaled = None if temperature is None else logits / temperature
    return {
        "ece": expected_error(bins),
        "nll": negative_log_likelihood(logits, labels),
        "bins": bins,
        "temperature": temperature,
        "nll_scaled": None if scaled is None else negative_log_likelihood(scaled, labels),
        "ece_scaled": (
            None if scaled is None else expected_error(confidence_bins(softmax(scaled), labels))
        ),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities, float64, of logits [N, K]."""
    return np.exp(_log_softmax(logits))


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean cross entropy of logits [N, K] with labels [N], in nats."""
    return float(-_log_softmax(logits)[np.arange(len(labels)), labels].mean())


def confidence_bins(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """Returns mean confidence, accuracy and count in 15 equally wide bins of confidence.

    A bin holds its upper edge and not its lower one; both means are None where it is empty.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    places = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    found = []
    for place in range(_BINS):
        inside = places == place
        count = int(inside.sum())
        found.append(
            {
                "confidence": float(confidence[inside].mean()) if count else None,
                "accuracy": float(correct[inside].mean()) if count else None,
                "count": count,
            }
        )
    return found


def expected_error(bins: list[dict[str, Any]]) -> float:
    """Returns the expected calibration error (https://arxiv.org/abs/1706.04599)."""
    filled = [b for b in bins if b["count"]]
    gaps = [b["count"] * abs(b["confidence"] - b["accuracy"]) for b in filled]
    return float(sum(gaps) / sum(b["count"] for b in filled))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the T that minimises the NLL of logits [N, K] / T, between 0.01 and 100.

    The NLL is convex in 1 / T, so that the slope, mean logit expected minus mean logit of the
    truth, changes its sign once: bisection finds it.
    """
    of_truth = logits[np.arange(len(labels)), labels].mean(dtype=np.float64)
    low, high = np.log(1 / _HOTTEST), np.log(1 / _COLDEST)  # of log(1 / T)
    for _ in range(40):  # halvings, to 1e-11
        middle = (low + high) / 2
        expected = (softmax(logits * np.exp(middle)) * logits).sum(axis=1).mean()
        low, high = (middle, high) if expected <= of_truth else (low, middle)
    return float(np.exp(-(low + high) / 2))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
