"""How good predictions are, as numbers: accuracy, its interval, and what each class gets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


def scores(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Returns what eval.json holds of probabilities [N, K] and labels [N], but for calibration.

    Precision, recall and F1 are 0 where they would divide by 0, as scikit-learn's.
    """
    matrix = confusion_matrix(probabilities.argmax(axis=1), labels, len(class_names))
    correct, total = int(np.trace(matrix)), len(labels)
    values = class_scores(matrix)
    support = matrix.sum(axis=1)
    return {
        "accuracy_interval": list(wilson_interval(correct, total)),
        "top5_accuracy": top_k_accuracy(probabilities, labels, 5),
        "per_class": {
            name: {key: float(of_class[i]) for key, of_class in values.items()}
            | {"support": int(support[i])}
            for i, name in enumerate(class_names)
        },
        "macro_mean": {key: float(of_class.mean()) for key, of_class in values.items()},
        "weighted_mean": {
            key: float(np.average(of_class, weights=support)) for key, of_class in values.items()
        },
        "confusion_matrix": matrix.tolist(),
    }


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns counts [K, K] of predicted and true classes [N]; rows are truths."""
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_scores(matrix: np.ndarray) -> Mapping[str, np.ndarray]:
    """Returns precision, recall and F1 [K] of counts [K, K], rows being truths."""
    hits, truths, predictions = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        "precision": hits / np.maximum(predictions, 1),
        "recall": hits / np.maximum(truths, 1),
        "f1": 2 * hits / np.maximum(truths + predictions, 1),
    }


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Returns the share of labels [N] among the k most probable classes of [N, K].

    Of equally probable classes the one with the higher index comes first, as in scikit-learn.
    """
    best = np.argsort(probabilities, axis=1, kind="stable")[:, -k:]
    return float((best == labels[:, None]).any(axis=1).mean())


def wilson_interval(correct: int, total: int, z: float = _Z95) -> tuple[float, float]:
    """Returns the Wilson score interval of a share; with the default z that of 95 %."""
    share, spread = correct / total, z * z / total
    centre = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return max(0.0, low), min(1.0, high)
