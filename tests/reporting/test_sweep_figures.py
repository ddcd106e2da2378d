"""The pictures of a sweep, from members made up."""

import pytest
from made_up import line

from vitjax.reporting.drawing import png
from vitjax.reporting.sweep_figures import MemberResult, sweep_pictures


def member(rate=0.1, size=16, seed=0, valid=0.5, test=0.25, status="finished", epochs=3):
    """A member of a grid of learning rates, batch sizes and seeds."""
    finished = status == "finished"
    return MemberResult(
        combination=f"learning_rate={rate:g}, batch_size={size}",
        options={"optim.learning_rate": rate, "data.batch_size": size, "seed": seed},
        status=status,
        lines=[line(epoch) for epoch in range(1, epochs + 1)],
        valid_accuracy=valid if finished else None,
        accuracy=test if finished else None,
    )


def draw(members):
    return {picture.name: picture for picture in sweep_pictures(members)}


def lines(axes):
    """The lines over epochs, without legend entries and marks at ends."""
    return [ln for ln in axes.lines if len(ln.get_xdata()) and ln.get_linestyle() != "None"]


def labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ([member()], {"curves"}),
        ([member(rate) for rate in (0.1, 0.2)], {"curves"}),
        ([member(seed=seed) for seed in (0, 1)], {"curves", "seeds"}),
        ([member(0.1, 16), member(0.2, 32)], {"curves", "heatmap"}),
        ([member(0.1, 16), member(0.2, 32), member(0.2, 32, seed=1)],
         {"curves", "heatmap", "seeds"}),
        # A spread over seeds is that of members that finished.
        ([member(), member(seed=1, status="diverged")], {"curves"}),
    ],
)  # fmt: skip
def test_a_sweep_has_the_pictures_that_tell_something(members, names):
    assert set(draw(members)) == names


def test_three_options_have_no_map():
    grid = [member(0.1, 16), member(0.2, 32)]
    grid = [m._replace(options=m.options | {"optim.b1": i}) for i, m in enumerate(grid)]
    assert "heatmap" not in draw(grid)


def test_each_member_has_a_curve_in_each_panel():
    grid = [member(0.1 * i, seed=seed) for i in range(1, 8) for seed in range(5)]
    figure = draw(grid)["curves"].figure
    assert [len(lines(axes)) for axes in figure.axes] == [35, 35]
    assert len(labels(figure)) == 7  # a colour for each of what differs but for its seed


def test_seeds_alone_are_told_apart():
    figure = draw([member(seed=seed) for seed in (4, 5)])["curves"].figure
    assert labels(figure) == ["seed=4", "seed=5"]


def test_beyond_ten_colours_the_worst_are_gray():
    figure = draw([member(0.1 * i) for i in range(1, 14)])["curves"].figure
    assert len(labels(figure)) == 11
    assert labels(figure)[-1] == "3 more"


def test_ends_are_told_apart():
    grid = [member(), member(0.2, status="dropped", epochs=1), member(0.3, status="diverged")]
    grid.append(member(0.4, status="diverged", epochs=0))  # it has nothing to draw
    picture = draw(grid)["curves"]
    left = picture.figure.axes[0]
    assert {ln.get_linestyle() for ln in lines(left)} == {"-", "--", ":"}
    assert labels(picture.figure)[-2:] == ["dropped (1)", "diverged (2)"]
    assert "1 finished, 1 dropped, 2 diverged" in picture.alt


def test_a_diverged_loss_does_not_hide_the_others():
    wild = member(0.2, status="diverged")
    wild = wild._replace(lines=[values | {"valid_loss": 1e30} for values in wild.lines])
    left = draw([member(), wild])["curves"].figure.axes[0]
    assert left.get_ylim()[1] < 3


def test_a_cell_has_the_means_over_seeds_at_its_values():
    grid = [
        member(0.01, 32, 0, valid=0.75, test=0.5),
        member(0.01, 32, 1, valid=0.25, test=0.125),
        member(0.002, 16, 0, valid=0.125, test=0.0625),
        member(0.002, 32, 0, status="diverged"),
    ]
    picture = draw(grid)["heatmap"]
    axes = picture.figure.axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("optim.learning_rate", "data.batch_size")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["0.002", "0.01"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["16", "32"]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(1, 1): "50.00%\n31.25%", (0, 0): "12.50%\n6.25%", (1, 0): "diverged"}
    assert picture.alt.endswith("best with 0.01 and 32, 50.00%.")


def test_a_large_map_has_no_numbers():
    figure = draw([member(0.1, size) for size in range(15)] + [member(0.2, 0)])["heatmap"].figure
    assert len(figure.axes[0].texts) == 0
    assert "test" not in figure.axes[0].get_title()


def test_a_map_without_any_finished_is_drawn():
    grid = [member(0.1, 16, status="diverged"), member(0.2, 32, status="dropped")]
    picture = draw(grid)["heatmap"]
    assert png(picture.figure, dpi=30).startswith(b"\x89PNG")
    assert picture.alt.endswith("no member finished.")


def test_a_box_and_points_for_each_combination():
    grid = [member(0.1, seed=seed, test=0.5 + seed / 10) for seed in range(3)] + [member(0.2)]
    picture = draw(grid)["seeds"]
    axes = picture.figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["learning_rate=0.1, batch_size=16 (3)", "learning_rate=0.2, batch_size=16 (1)"]
    points = [ln for ln in axes.lines if ln.get_marker() == "o"]
    assert [list(ln.get_xdata()) for ln in points] == [[0.5, 0.6, 0.7], [0.25]]
    assert "learning_rate=0.1, batch_size=16 from 50.00% to 70.00%" in picture.alt
