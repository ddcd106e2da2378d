"""The numbers of eval.json, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics

from vitjax.reporting.calibration import (
    calibration,
    confidence_bins,
    expected_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)
from vitjax.reporting.classification import scores, wilson_interval

NAMES = tuple("abcdefgh")
RANDOM = np.random.RandomState(0)
LABELS = RANDOM.randint(0, 7, 500).astype(np.int32)  # none of the last class
LOGITS = RANDOM.normal(size=(500, 8)).astype(np.float32) + 2 * np.eye(8, dtype=np.float32)[LABELS]
LOGITS[:, 6] = -9  # nor is this one ever predicted


def test_scores_are_those_of_scikit_learn():
    found = scores(softmax(LOGITS), LABELS, NAMES)
    predicted = LOGITS.argmax(axis=1)
    expected = metrics.classification_report(
        LABELS, predicted, labels=range(8), target_names=NAMES, output_dict=True, zero_division=0
    )
    pairs = [(found["per_class"][name], expected[name]) for name in NAMES]
    pairs += [(found[f"{kind}_mean"], expected[f"{kind} avg"]) for kind in ("macro", "weighted")]
    for ours, theirs in pairs:
        for key, value in ours.items():
            assert value == pytest.approx(theirs[key.replace("f1", "f1-score")]), key
    matrix = metrics.confusion_matrix(LABELS, predicted, labels=range(8))
    assert found["confusion_matrix"] == matrix.tolist()
    top5 = metrics.top_k_accuracy_score(LABELS, LOGITS, k=5, labels=range(8))
    assert found["top5_accuracy"] == pytest.approx(top5)


def test_equal_probabilities_rank_as_in_scikit_learn():
    tied = np.round(softmax(LOGITS), 1)
    expected = metrics.top_k_accuracy_score(LABELS, tied, k=5, labels=range(8))
    assert scores(tied, LABELS, NAMES)["top5_accuracy"] == pytest.approx(expected)


def test_likelihood_is_that_of_scikit_learn():
    expected = metrics.log_loss(LABELS, softmax(LOGITS), labels=range(8))
    assert negative_log_likelihood(LOGITS, LABELS) == pytest.approx(expected)


def test_wilson_interval_by_hand():
    # 8 of 10 with z = 2: (0.8 + 0.2 +- 2 sqrt(0.8 * 0.2 / 10 + 4 / 400)) / 1.4
    low, high = wilson_interval(8, 10, z=2)
    half = 2 * 0.026**0.5
    assert (low, high) == pytest.approx(((1 - half) / 1.4, (1 + half) / 1.4))
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # as published
    assert wilson_interval(10, 10)[1] == pytest.approx(1)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    bins = confidence_bins(probabilities, np.array([0, 1, 0, 1]))
    assert len(bins) == 15
    assert bins[13] == {"confidence": pytest.approx(0.9), "accuracy": 0.5, "count": 2}
    assert bins[8] == {"confidence": pytest.approx(0.6), "accuracy": 1.0, "count": 1}
    assert bins[0] == {"confidence": None, "accuracy": None, "count": 0}
    assert expected_error(bins) == pytest.approx((2 * 0.4 + 0.4 + 0.2) / 4)


def test_temperature_by_hand():
    # Logits (2, 0), right 3 of 4 times: the NLL is least where softmax gives 3/4, at 2 / T = log 3.
    logits, labels = np.tile([2.0, 0.0], (4, 1)), np.array([0, 0, 0, 1])
    assert fit_temperature(logits, labels) == pytest.approx(2 / np.log(3))


def test_temperature_of_faultless_predictions_stays_finite():
    assert fit_temperature(np.array([[2.0, 0.0]]), np.array([0])) == pytest.approx(0.01)


def test_scaling_lowers_the_likelihood_loss_and_may_be_left_out():
    scaled = calibration(3 * LOGITS, LABELS, fit_temperature(3 * LOGITS, LABELS))
    assert scaled["nll_scaled"] < scaled["nll"]
    assert scaled["nll_scaled"] <= calibration(LOGITS, LABELS, None)["nll"]
    assert calibration(LOGITS, LABELS, None)["ece_scaled"] is None
