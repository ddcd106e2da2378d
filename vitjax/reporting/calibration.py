"""How far probabilities can be trusted, and the temperature that mends them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitjax.reporting.drawing import BLUE, GRAY, new_axes, new_figure
from vitjax.reporting.page import Html, Picture, Section, html_table, note

_BINS = 15
_COLDEST, _HOTTEST = 0.01, 100.0  # between which the temperature is looked for


def calibration_numbers(
    logits: np.ndarray, labels: np.ndarray, temperature: float | None
) -> dict[str, Any]:
    """Returns ECE with its bins, and NLL, of logits [N, K], and both scaled by a temperature."""
    bins = confidence_bins(probabilities_of(logits), labels)
    found = {
        "ece": expected_error(bins),
        "nll": negative_log_likelihood(logits, labels),
        "bins": bins,
        "temperature": temperature,
        "nll_scaled": None,
        "ece_scaled": None,
    }
    if temperature is not None:
        scaled = logits / temperature
        found["nll_scaled"] = negative_log_likelihood(scaled, labels)
        found["ece_scaled"] = expected_error(confidence_bins(probabilities_of(scaled), labels))
    return found


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Returns the softmax, float64, of logits [N, K]."""
    from scipy import special

    return special.softmax(logits.astype(np.float64), axis=1)


def negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean cross entropy of logits [N, K] with labels [N], in nats."""
    from scipy import special

    log_probabilities = special.log_softmax(logits.astype(np.float64), axis=1)
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


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


def expected_error(bins: Sequence[Mapping[str, Any]]) -> float:
    """Returns the expected calibration error (https://arxiv.org/abs/1706.04599)."""
    filled = [b for b in bins if b["count"]]
    gaps = [b["count"] * abs(b["confidence"] - b["accuracy"]) for b in filled]
    return float(sum(gaps) / sum(b["count"] for b in filled))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the T that minimises the NLL of logits [N, K] / T, between 0.01 and 100.

    The NLL is convex in 1 / T, so that its slope, mean logit expected minus mean logit of the
    truth, changes its sign at most once.
    """
    from scipy import optimize

    of_truth = logits[np.arange(len(labels)), labels].mean(dtype=np.float64)

    def slope(log_temperature: float) -> float:
        probabilities = probabilities_of(logits * np.exp(-log_temperature))
        return float((probabilities * logits).sum(axis=1).mean() - of_truth)

    if slope(np.log(_COLDEST)) <= 0:
        return _COLDEST
    if slope(np.log(_HOTTEST)) > 0:
        return _HOTTEST
    return float(np.exp(optimize.brentq(slope, np.log(_COLDEST), np.log(_HOTTEST))))


def reliability_picture(bins: Sequence[Mapping[str, Any]], ece: float) -> Picture:
    """Draws accuracy against confidence, bin by bin, over how many images each bin holds.

    `bins` are equally wide and hold "confidence" and "accuracy" (means) and "count".
    """
    width = 1 / len(bins)
    middles = [(i + 0.5) * width for i in range(len(bins))]
    filled = [b for b in bins if b["count"]]
    figure = new_figure(4.2, 4.2)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    axes = new_axes(figure, grid[0], ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.bar(middles, [b["accuracy"] or 0 for b in bins], width * 0.92, color=BLUE, alpha=0.5)
    points = [[b[key] for b in filled] for key in ("confidence", "accuracy")]
    axes.plot(*points, "o-", color=BLUE, markersize=4, label="measured")
    axes.plot((0, 1), (0, 1), "--", color=GRAY, label="ideal")
    figure.legend(frameon=False, fontsize="small", loc="outside upper left", ncols=2)
    counts = new_axes(figure, grid[1], xlabel="probability of the predicted class", xlim=(0, 1))
    counts.bar(middles, [b["count"] for b in bins], width * 0.92, color=GRAY)
    counts.set_ylabel("images")
    counts.set_yscale("log")
    counts.yaxis.set_major_formatter("{x:,g}")
    counts.minorticks_off()
    counts.set_ylim(bottom=0.7)
    gap = sum(b["count"] * (b["confidence"] - b["accuracy"]) for b in filled)
    side = "above" if gap > 0 else "below"
    alt = f"Reliability diagram: probabilities lie on average {side} the accuracy; ECE {ece:.3f}."
    return Picture("reliability", alt, figure)


def calibration_section(evaluation: Mapping[str, Any]) -> Section:
    """How far probabilities can be trusted, before and after dividing logits by a temperature."""
    values = evaluation["calibration"]
    intro = note(
        "ECE, the expected calibration error, is the mean distance of accuracy from probability "
        "over the bins, weighted by their images; NLL is the mean negative log-likelihood."
    )
    rows = [("as trained", "1", f"{values['ece']:.4f}", f"{values['nll']:.4f}")]
    without: list[Html] = []
    if values["temperature"] is None:
        without.append(note("No temperature: the run has no validation split to fit it on."))
    else:
        temperature, ece, nll = (
            f"{values[key]:.4f}" for key in ("temperature", "ece_scaled", "nll_scaled")
        )
        rows.append(("with the temperature fitted on validation", temperature, ece, nll))
    caption = "Calibration before and after temperature scaling"
    numbers = html_table(caption, ("probabilities", "temperature", "ECE", "NLL"), rows)
    picture = reliability_picture(values["bins"], values["ece"])
    return Section("Calibration", [intro, numbers, *without, picture])


def calibration_text(values: Mapping[str, Any]) -> str:
    """Returns the numbers of `calibration_numbers` in a line for the terminal."""
    text = f"NLL {values['nll']:.4f}, ECE {values['ece']:.4f}"
    if values["temperature"] is None:
        return text
    return (
        f"{text}; with temperature {values['temperature']:.3f} of validation: NLL "
        f"{values['nll_scaled']:.4f}, ECE {values['ece_scaled']:.4f}"
    )
