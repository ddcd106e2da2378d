"""Comparisons, by hand and against scipy."""

import numpy as np
import pytest
from scipy import stats

from vitjax.errors import UserError
from vitjax.reporting import comparison
from vitjax.reporting.drawing import png
from vitjax.reporting.predictions import Predictions

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
    classes = comparison.by_class(run())
    groups = comparison.group_accuracies(first, second, classes)
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


def test_welch_of_runs_that_are_all_alike_is_their_difference():
    first, second = np.array([0.5, 0.5]), np.array([0.75, 0.75])
    assert comparison.welch_interval(first, second) == (0.25, 0.25)


def test_bootstrap_of_equal_runs_is_zero():
    assert comparison.bootstrap_interval(np.zeros(8)) == (0, 0)


def test_a_single_example_has_no_interval():
    labels, ids = np.array([0], np.int32), np.array(["test/0"])
    sides = [
        comparison.side(name, [Predictions(np.array([odds], np.float32), labels, ids, ("a", "b"))])
        for name, odds in (("wrong", (0.0, 1.0)), ("right", (1.0, 0.0)))
    ]
    found = comparison.compare_pair(*sides, [])
    assert found.difference.accuracy == 1
    assert found.difference.bootstrap is None
    assert str(found).splitlines()[1] == "difference +1.0000 (of one example: no interval)"


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


def compared(first="a", second="b", groups=("cat", "dog")):
    """Two runs of which the second has two more of the first half right."""
    sides = comparison.side(first, [run(0, 1)]), comparison.side(second, [run()])
    return comparison.compare_pair(*sides, [comparison.Grouping("class", LABELS, groups)])


def test_a_comparison_prints_as_text():
    text = str(compared()).splitlines()
    assert text[0] == "b against a"
    assert text[1].startswith("difference +0.2500 (95 % bootstrap over examples: ")
    assert text[2] == "right alone: 2 against 0; McNemar's exact test p = 0.5"
    assert text[4:] == [
        "class  images   first  second  difference",
        "cat         4  0.5000  1.0000     +0.5000",
        "dog         4  1.0000  1.0000     +0.0000",
    ]


def test_a_notebook_shows_a_comparison_as_text_and_picture():
    page = compared("<a>", "b", groups=("cat", "dog"))._repr_html_()
    assert page.startswith("<pre>b against &lt;a&gt;\n")
    assert "b against &lt;a&gt;: +25.00% in all." in page


@pytest.mark.filterwarnings("error")
def test_long_names_leave_the_figure_its_room():
    long = [f"/a/folder/of/{'many/' * 12}runs/{name}" for name in ("a", "b")]
    comparisons = [compared(*long, groups=("cat" * 30, "dog")), compared()]
    figure = comparison.comparison_picture(comparisons).figure
    png(figure, dpi=30)
    width, height = figure.get_size_inches()
    for axes in figure.axes:
        place = axes.get_position()
        assert place.width * width > 3
        assert place.height * height > 0.3
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(set(names)) == 2
    assert figure.axes[0].get_legend().get_window_extent().x1 < figure.bbox.x1


def test_missing_numbers_have_no_group():
    places, names = comparison.binned(["1", "N/A", "2", "nan", " "])
    assert places.tolist() == [0, -1, 1, -1, -1]
    assert names == ["1", "2"]


def test_numbers_that_differ_have_names_that_differ():
    _, names = comparison.binned(["1000000", "1000001", "1000002"])
    assert names == ["1000000", "1000001", "1000002"]
    _, names = comparison.binned([f"10000{i}" for i in range(10)])
    assert names[0] == "100000 to 100002"


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
