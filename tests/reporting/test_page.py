"""HTML from Python calls, and pictures as a page and a notebook show them."""

import re

import numpy as np
import pytest

from vitjax import files
from vitjax.errors import UserError
from vitjax.reporting.confusion import confusion_picture
from vitjax.reporting.drawing import new_axes, new_figure, shortened, svg, write_png
from vitjax.reporting.page import Html, html_table, tag, void, write_page

MATRIX = np.array([[8, 2, 0], [0, 5, 0], [3, 0, 3]])


def test_figures_take_the_colour_of_the_page():
    drawing = svg(confusion_picture(MATRIX, ("<b>", "dog", "emu")).figure, "a")
    assert "currentColor" in drawing
    assert "#000000" not in drawing
    assert "<b>" not in drawing


def test_what_is_black_without_saying_so_takes_the_colour_of_the_page():
    figure = new_figure(2, 2)
    new_axes(figure).plot([0, 1], [0, 1], "o", color="black")
    assert svg(figure, "a").startswith('<svg fill="currentColor"')


def test_a_notebook_shows_a_picture_with_its_text_as_often_as_it_likes():
    picture = confusion_picture(MATRIX, ("<b>", "dog", "emu"))
    first, second = picture._repr_html_(), picture._repr_html_()
    assert first.startswith('<figure><svg role="img" aria-labelledby="confusion_matrix-')
    assert "max-width: 100%" in first
    assert "16 of 21 images on the diagonal" in re.search("<figcaption.*", first)[0]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]  # equal ids would make one picture take parts of the other
    assert all(target in ids[0] for target in re.findall(r'(?:href="|url\()#([^")]+)', first))


def test_a_notebook_shows_html_as_it_is():
    assert tag("p", "<b>")._repr_html_() == "<p>&lt;b&gt;</p>"


def test_long_labels_keep_both_ends():
    assert shortened("abc", 9) == "abc"
    assert shortened("abcdefghijkl", 9) == "abc...jkl"
    assert len(shortened("x" * 99)) == 44


def test_markup_escapes_what_is_not_html():
    assert tag("p", "<b> & c", Html("<i>d</i>")) == "<p>&lt;b&gt; &amp; c<i>d</i></p>"
    assert void("img", src='"', alt=None, data_x=1) == '<img src="&quot;" data-x="1">'
    assert "<td>&lt;3</td>" in html_table("A & B", ("x", "y"), [("1", "<3")])


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot make the folder of .*file/a\.png: File exists"):
        write_png(tmp_path / "file" / "a.png", new_figure(1, 1))


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "report").touch()
    with pytest.raises(UserError, match=r"report is a file; move it away"):
        write_page(tmp_path / "report", "text", [])


def test_two_reports_at_once(tmp_path, monkeypatch):
    """The other one removes an older picture first."""
    (tmp_path / "old.png").touch()
    write = files.write

    def write_and_lose(path, content):
        (tmp_path / "old.png").unlink(missing_ok=True)
        write(path, content)

    monkeypatch.setattr(files, "write", write_and_lose)
    assert write_page(tmp_path, "text", []).read_text() == "text"


def test_pictures_of_an_older_page_are_removed(tmp_path):
    (tmp_path / "old.png").touch()
    write_page(tmp_path, "text", [])
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
