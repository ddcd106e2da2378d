"""How good predictions are: accuracy with its interval, top 5, and what each class gets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitjax.reporting.calibration import calibration_text
from vitjax.reporting.drawing import BLUE, GRAY, new_axes, new_figure, shortened
from vitjax.reporting.page import Picture, Section, html_table
from vitjax.text import table

_BY_CLASS = ("precision", "recall", "f1")
_MOST_POINTS = 40  # classes in the picture; beyond these, only those at both ends
_MOST_ROWS = 20  # classes in the terminal's table; beyond these, only the worst


def accuracy_numbers(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Returns what eval.json holds of probabilities [N, K] and labels [N], but for calibration.

    Precision, recall and F1 are 0 where they would divide by 0.
    """
    from sklearn import metrics

    classes = np.arange(len(class_names))
    predicted = probabilities.argmax(axis=1)

    def by_class(average: str | None) -> tuple[Any, ...]:
        return metrics.precision_recall_fscore_support(
            labels, predicted, labels=classes, average=average, zero_division=0
        )

    *values, support = by_class(None)
    matrix = metrics.confusion_matrix(labels, predicted, labels=classes)
    return {
        "accuracy_interval": list(wilson_interval(int(np.trace(matrix)), len(labels))),
        "top5_accuracy": top5_accuracy(probabilities, labels),
        "per_class": {
            name: _named(*(of_class[i] for of_class in values)) | {"support": int(support[i])}
            for i, name in enumerate(class_names)
        },
        "macro_mean": _named(*by_class("macro")[:3]),
        "weighted_mean": _named(*by_class("weighted")[:3]),
        "confusion_matrix": matrix.tolist(),
    }


def _named(*values: float) -> dict[str, float]:
    return dict(zip(_BY_CLASS, map(float, values), strict=True))


def top5_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of labels [N] among the 5 most probable classes of [N, K]; 1 of K <= 5.

    Of equally probable classes the one with the higher index comes first.
    """
    from sklearn import metrics

    num_classes = probabilities.shape[1]
    if num_classes <= 5:
        return 1.0
    classes = np.arange(num_classes)
    return float(metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=classes))


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the Wilson score interval of a share."""
    from scipy import stats

    low, high = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def class_accuracy_picture(per_class: Mapping[str, Mapping[str, Any]], accuracy: float) -> Picture:
    """Draws the share of each class's images that are recognised, the lowest on top."""
    classes = sorted((v["recall"], name) for name, v in per_class.items() if v["support"])
    rows, cut = classes, ""
    if len(classes) > _MOST_POINTS:
        half = _MOST_POINTS // 2
        rows, cut = [*classes[:half], *classes[-half:]], f"the {half} lowest and {half} highest of "
    figure = new_figure(4.6, 1 + 0.17 * max(len(rows), 8))
    axes = new_axes(figure, xlabel=f"accuracy of {cut}{len(classes)} classes")
    axes.plot([recall for recall, _ in rows], range(len(rows)), "o", color=BLUE)
    axes.axvline(accuracy, color=GRAY, linestyle=":", label=f"all images: {accuracy:.2%}")
    axes.set_yticks(range(len(rows)), [shortened(name) for _, name in rows], fontsize="small")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    figure.legend(frameon=False, fontsize="small", loc="outside upper right")
    (low, worst), (high, best) = classes[0], classes[-1]
    alt = f"Accuracy by class: lowest {worst} with {low:.1%}, highest {best} with {high:.1%}."
    return Picture("class_accuracy", alt, figure)


def accuracy_section(evaluation: Mapping[str, Any]) -> Section:
    """Precision, recall and F1 of each class, their means, and accuracy by class."""
    per_class = evaluation["per_class"]
    rows = [(name, *_cells(of), f"{of['support']:,}") for name, of in per_class.items()]
    total = f"{sum(values['support'] for values in per_class.values()):,}"
    foot = [
        ("accuracy", "", "", f"{evaluation['accuracy']:.4f}", total),
        ("mean of classes", *_cells(evaluation["macro_mean"]), total),
        ("mean weighted by support", *_cells(evaluation["weighted_mean"]), total),
    ]
    head = ("class", "precision", "recall", "F1", "support")
    report = html_table(f"Scores by class on {total} images", head, rows, foot)
    picture = class_accuracy_picture(per_class, evaluation["accuracy"])
    return Section("Classification report", [report, picture])


def evaluation_table(evaluation: Mapping[str, Any]) -> str:
    """Returns the numbers of eval.json for the terminal; of many classes only the worst."""
    low, high = evaluation["accuracy_interval"]
    per_class = evaluation["per_class"]
    worst = sorted(per_class, key=lambda name: per_class[name]["f1"])[:_MOST_ROWS]
    rows = [(n, *_cells(v), f"{v['support']:,}") for n, v in per_class.items() if n in worst]
    means = [(key, *_cells(evaluation[key]), "") for key in ("macro_mean", "weighted_mean")]
    hidden = len(per_class) - len(rows)
    lines = [
        f"accuracy  {evaluation['accuracy']:.4f} (95 %: {low:.4f} to {high:.4f}) on "
        f"{evaluation['num_examples']:,} images of {evaluation['split']}, top 5 "
        f"{evaluation['top5_accuracy']:.4f}",
        f"trust     {calibration_text(evaluation['calibration'])}",
        "",
        table([("class", *_BY_CLASS, "support"), *rows, *means]),
        *([f"({hidden} classes with a higher F1 left out)"] * (hidden > 0)),
    ]
    return "\n".join(lines)


def _cells(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(f"{values[key]:.4f}" for key in _BY_CLASS)
