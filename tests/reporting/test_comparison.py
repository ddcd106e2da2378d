"""Comparisons, by hand and against scipy."""

import numpy as np
import pytest
from scipy import stats

from vitjax.errors import UserError
from vitjax.reporting import comparison
from vitjax.reporting.examples import Predictions

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
IDS = np.array([f"test/{i}" for i in range(8)])


def run(*wrong, names=("cat", "dog"), ids=IDS):
    """Predictions that are wrong on those examples."""
    predicted = LABELS.copy()
    predicted[list(wrong)] = 1 - predicted[list(wrong)]
    return Predictions(np.eye(2, dtype=np.float32)[predicted], LABELS, ids, names)


def test_difference_of_two_runs():
    first, second = comparison.side("a", [run(0, 1, 2, 4)]), comparison.side("b", [run(0, 5)])
    found = comparison.difference(first, second)
    assert found.accuracy == 2 / 8
    assert (found.only_first, found.only_second) == (1, 3)
    assert found.p_value == pytest.approx(2 * (1 + 4) / 2**4)
    assert found.bootstrap[0] < 2 / 8 < found.bootstrap[1]
    assert found.welch is None
    groups = comparison.groups(first, second, LABELS, ["cat", "dog"])
    assert groups == [("cat", 4, 0.25, 0.75), ("dog", 4, 0.75, 0.75)]


def test_mcnemar_by_hand_and_without_any_difference():
    assert comparison.mcnemar(1, 5) == pytest.approx(2 * (1 + 6) / 2**6)
    assert comparison.mcnemar(0, 0) == 1


def test_bootstrap_is_that_of_scipy():
    gain = np.repeat([-1.0, 0.0, 1.0], (30, 900, 70))
    theirs = stats.bootstrap((gain,), np.mean, n_resamples=5000, method="percentile", rng=0)
    expected = theirs.confidence_interval
    assert comparison.bootstrap_interval(gain) == pytest.approx(tuple(expected), abs=2e-3)


def test_welch_is_that_of_scipy():
    first, second = np.array([0.9, 0.92, 0.91]), np.array([0.95, 0.93, 0.96, 0.97])
    expected = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert comparison.welch_interval(first, second) == pytest.approx(tuple(expected))


def test_seeds_are_averaged():
    first = comparison.side("a", [run(0), run(0, 1)])
    second = comparison.side("b", [run(), run(2)])
    found = comparison.difference(first, second)
    assert found.accuracy == pytest.approx((1 + 7 / 8) / 2 - (7 / 8 + 6 / 8) / 2)
    assert found.p_value is None
    assert found.welch is not None


@pytest.mark.parametrize(
    ("other", "what"), [({"names": ("cat", "cow")}, "class_names"), ({"ids": IDS[::-1]}, "ids")]
)
def test_other_examples_are_refused(other, what):
    with pytest.raises(UserError, match=f"a and b were not .* their {what} differ"):
        comparison.check_same(["a", "b"], [run(), run(**other)])


def test_metadata_is_found_by_id_or_by_order(tmp_path):
    path = tmp_path / "facts.csv"
    path.write_text("id,kind\ntest/1,x\ntest/0,y\n")
    assert comparison.read_column(path, "kind", IDS) == ["y", "x"] + [""] * 6
    path.write_text("galaxyID,kind\ntest/1,x\ntest/0,y\nother,z\n")
    assert comparison.read_column(path, "kind", IDS, "galaxyID") == ["y", "x"] + [""] * 6
    path.write_text("kind\n" + "x\n" * 8)
    assert comparison.read_column(path, "kind", IDS) == ["x"] * 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,color\ntest/1,x\n", r"has the columns \['id', 'color'\]"),
        ("kind\nx\n", "1 rows for 8 examples"),
        ("id,kind\nother,x\n", "names none of the examples"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, text, message):
    (tmp_path / "facts.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        comparison.read_column(tmp_path / "facts.csv", "kind", IDS)


def test_an_unknown_key_is_refused(tmp_path):
    (tmp_path / "facts.csv").write_text("id,kind\ntest/1,x\n")
    with pytest.raises(UserError, match=r"columns \['id', 'kind'\]; choose --key from them"):
        comparison.read_column(tmp_path / "facts.csv", "kind", IDS, "name")


def test_missing_numbers_have_no_group():
    places, names = comparison.binned(["1", "N/A", "2", "nan", " "])
    assert places.tolist() == [0, -1, 1, -1, -1]
    assert names == ["1", "2"]


def test_names_that_make_too_many_groups_are_refused():
    texts = [f"galaxy {i}" for i in range(101)]
    with pytest.raises(UserError, match=r"101 different values .*choose a --column of numbers"):
        comparison.binned(texts)


def test_numbers_are_binned_and_words_are_not():
    places, names = comparison.binned([str(i) for i in range(10)] + [""])
    assert places.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, -1]
    assert len(names) == 5
    assert comparison.binned(["b", "a", ""])[1] == ["a", "b"]
    assert comparison.binned(["b", "a", ""])[0].tolist() == [1, 0, -1]
    assert comparison.binned(["2", "1", "1"])[0].tolist() == [1, 0, 0]
