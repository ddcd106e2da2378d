"""A report as one HTML page, and its pictures as files beside it."""

import base64
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from vitjax.errors import UserError
from vitjax.reporting.figures import Picture, png, svg
from vitjax.reporting.markup import Html, scrolling, tag, void

_WIDE = 6  # inches, beyond which a figure takes the page's width and scrolls on a phone
_CSS = Path(__file__).with_name("page.css")


class Photo(NamedTuple):
    """A small picture of the data."""

    name: str  # of its file, without suffix
    alt: str
    caption: str
    png: bytes


class Section(NamedTuple):
    """A part of the page under its own heading."""

    title: str
    items: Sequence[Html | Picture | Photo]


def page(title: str, opening: Iterable[Html], sections: Sequence[Section]) -> str:
    """Returns the whole page, which needs no other file and no network."""
    links = (tag("li", tag("a", s.title, href=f"#{_anchor(s)}")) for s in sections)
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(_CSS.read_text())),
    )
    body = tag(
        "body",
        tag("a", "Skip to the results", class_="skip", href="#main"),
        tag("header", tag("h1", title), *opening),
        tag("nav", tag("ul", *links), aria_label="Sections"),
        tag("main", *map(_section, sections), id="main"),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def write(folder: Path, text: str, sections: Sequence[Section]) -> None:
    """Writes index.html and the pictures, each whole or not at all; removes older pictures."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; move it away, the report is a folder of that name")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for item in itertools.chain.from_iterable(section.items for section in sections):
        if isinstance(item, Picture):
            (folder / f"{item.name}.png").write_bytes(png(item.figure))
        elif isinstance(item, Photo):
            (folder / f"{item.name}.png").write_bytes(item.png)
    partial = folder / "index.html.tmp"
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder / "index.html")


def _anchor(section: Section) -> str:
    return re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")


def _section(section: Section) -> Html:
    """Renders a section; pictures that follow each other share a grid."""
    anchor = _anchor(section)
    parts: list[Html] = []
    for kind, items in itertools.groupby(section.items, _grid):
        rendered = map(_item, items)
        parts.extend([tag("div", *rendered, class_=kind)] if kind else rendered)
    heading = tag("h2", section.title, id=anchor)
    return tag("section", heading, *parts, aria_labelledby=anchor)


def _grid(item: Html | Picture | Photo) -> str:
    """Returns the class of the grid that an item shares with its neighbours; "" for none."""
    return "figures" if isinstance(item, Picture) else "photos" if isinstance(item, Photo) else ""


def _item(item: Html | Picture | Photo) -> Html:
    if isinstance(item, Picture):
        return _picture(item)
    return _photo(item) if isinstance(item, Photo) else item


def _picture(picture: Picture) -> Html:
    """Renders a figure as SVG in the page, named by its caption, which states the finding."""
    caption = f"{picture.name}-caption"
    drawing = svg(picture.figure, picture.name)
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-labelledby="{caption}" ', 1)
    wide = picture.figure.get_figwidth() > _WIDE
    label = picture.name.replace("_", " ") + ", figure"
    box = scrolling(Html(drawing), label) if wide else Html(drawing)
    text = tag("figcaption", picture.alt, id=caption)
    return tag("figure", box, text, class_="wide" if wide else None)


def _photo(photo: Photo) -> Html:
    uri = "data:image/png;base64," + base64.b64encode(photo.png).decode()
    return tag("figure", void("img", src=uri, alt=photo.alt), tag("figcaption", photo.caption))


def note(text: str) -> Html:
    """Returns a line that explains what follows, or why something is absent."""
    return tag("p", text)


def numbers(pairs: Iterable[tuple[str, str]]) -> Html:
    """Returns (name, value) pairs as the page's large figures."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs),
        class_="numbers",
    )


def code(text: str) -> Html:
    """Returns a command as typed."""
    return tag("pre", tag("code", text))
