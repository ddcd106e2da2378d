"""The numbers of eval.json, against scikit-learn and by hand."""

import numpy as np
import pytest
from made_up import evaluation
from scipy import stats
from sklearn import metrics

from vitjax.reporting.accuracy import (
    accuracy_numbers,
    evaluation_table,
    top5_accuracy,
    wilson_interval,
)
from vitjax.reporting.calibration import probabilities_of

NAMES = tuple("abcdefgh")
RANDOM = np.random.RandomState(0)
LABELS = RANDOM.randint(0, 7, 500).astype(np.int32)  # none of the last class
LOGITS = RANDOM.normal(size=(500, 8)).astype(np.float32) + 2 * np.eye(8, dtype=np.float32)[LABELS]
LOGITS[:, 6] = -9  # nor is this one ever predicted


def test_scores_are_those_of_scikit_learn():
    found = accuracy_numbers(probabilities_of(LOGITS), LABELS, NAMES)
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
    tied = np.round(probabilities_of(LOGITS), 1)
    expected = metrics.top_k_accuracy_score(LABELS, tied, k=5, labels=range(8))
    assert accuracy_numbers(tied, LABELS, NAMES)["top5_accuracy"] == pytest.approx(expected)


def test_of_equal_probabilities_the_last_classes_rank_first():
    assert top5_accuracy(np.full((7, 7), 1 / 7), np.arange(7)) == pytest.approx(5 / 7)


def test_with_five_classes_all_are_among_the_first_five():
    assert accuracy_numbers(np.eye(5), np.array([1, 2, 3, 4, 0]), "abcde")["top5_accuracy"] == 1
    assert accuracy_numbers(np.eye(2), np.array([1, 0]), "ab")["top5_accuracy"] == 1


def test_scores_of_absent_classes_by_hand():
    # Truths a a b; a is met once of twice, c is predicted once and never true.
    found = accuracy_numbers(np.eye(3)[[0, 2, 1]], np.array([0, 0, 1]), "abc")
    assert found["per_class"]["a"] == {
        "precision": 1, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2,
    }  # fmt: skip
    assert found["per_class"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert found["macro_mean"]["recall"] == pytest.approx(0.5)
    assert found["weighted_mean"]["recall"] == pytest.approx(2 / 3)
    assert found["confusion_matrix"] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_wilson_interval_by_hand():
    # 8 of 10 with z = 2: (0.8 + 0.2 +- 2 sqrt(0.8 * 0.2 / 10 + 4 / 400)) / 1.4
    low, high = wilson_interval(8, 10, confidence=2 * stats.norm.cdf(2) - 1)
    half = 2 * 0.026**0.5
    assert (low, high) == pytest.approx(((1 - half) / 1.4, (1 + half) / 1.4))
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # as published
    assert wilson_interval(10, 10)[1] == pytest.approx(1)
    assert wilson_interval(0, 10)[0] == 0


def test_the_terminal_shows_the_worst_of_many_classes():
    names = [f"class {i}" for i in range(22)]
    of = evaluation(names, np.eye(22, dtype=int))
    for name in ("class 3", "class 21"):
        of["per_class"][name] = of["per_class"][name] | {"f1": 0.9}
    lines = evaluation_table(of).splitlines()
    assert lines[0].startswith("accuracy  0.8750 (95 %: 0.8000 to 0.9000) on 40 images of test")
    assert lines[1].endswith("temperature 1.500 of validation: NLL 0.2500, ECE 0.0312")
    assert lines[3].split() == ["class", "precision", "recall", "f1", "support"]
    assert lines[4].split() == ["class", "0", "0.5000", "0.6250", "0.7500", "4"]
    assert len({line.rindex(" ") for line in lines[4:24]}) == 1  # in columns
    assert not any(line.startswith(("class 3 ", "class 21 ")) for line in lines)
    assert lines[-2].split() == ["weighted_mean", "0.5000", "0.6250", "0.7500"]
    assert lines[-1] == "(2 classes with a higher F1 left out)"
