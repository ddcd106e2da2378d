"""Calibration by hand and against scikit-learn."""

import numpy as np
import pytest
from made_up import NAMES, evaluation
from sklearn import metrics

from vitjax.reporting.calibration import (
    calibration_numbers,
    calibration_section,
    confidence_bins,
    expected_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities_of,
)
from vitjax.reporting.page import page_text

RANDOM = np.random.RandomState(0)
LABELS = RANDOM.randint(0, 7, 500).astype(np.int32)
LOGITS = RANDOM.normal(size=(500, 8)).astype(np.float32) + 2 * np.eye(8, dtype=np.float32)[LABELS]


def test_likelihood_is_that_of_scikit_learn():
    expected = metrics.log_loss(LABELS, probabilities_of(LOGITS), labels=range(8))
    assert negative_log_likelihood(LOGITS, LABELS) == pytest.approx(expected)


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
    scaled = calibration_numbers(3 * LOGITS, LABELS, fit_temperature(3 * LOGITS, LABELS))
    assert scaled["nll_scaled"] < scaled["nll"]
    assert scaled["nll_scaled"] <= calibration_numbers(LOGITS, LABELS, None)["nll"]
    assert calibration_numbers(LOGITS, LABELS, None)["ece_scaled"] is None


def test_without_validation_there_is_no_temperature():
    of = evaluation(NAMES, np.eye(3, dtype=int))
    of["calibration"] |= dict(temperature=None, ece_scaled=None, nll_scaled=None)
    text = page_text("Title", [], [calibration_section(of)])
    assert "no validation split to fit it on" in text


def test_temperature_of_predictions_at_odds_with_the_truth_stays_finite():
    assert fit_temperature(np.array([[2.0, 0.0]]), np.array([1])) == pytest.approx(100)
