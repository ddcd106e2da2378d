"""A report as one HTML page, and its pictures as files beside it.

HTML elements are Python calls; whatever is not HTML already is escaped.
"""

import base64
import html
import itertools
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vitjax import files
from vitjax.errors import UserError
from vitjax.reporting.drawing import svg, write_png

if TYPE_CHECKING:
    from vitjax.reporting.drawing import Figure

_WIDE = 6  # inches, beyond which a figure takes the page's width and scrolls on a phone
_CSS = Path(__file__).with_name("page.css")


class Html(str):
    """Text that is HTML already."""

    def _repr_html_(self) -> str:
        return str(self)


def tag(name: str, /, *children: str | None, **attributes: str | int | None) -> Html:
    """Returns an element; None children and attributes are left out.

    An attribute is spelt with "_" for "-", and with a last "_" where Python reserves its name.
    """
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{''.join(pairs)}>{join(*children)}</{name}>")


def void(name: str, /, **attributes: str | int | None) -> Html:
    """Returns an element that has no end tag, such as img."""
    return Html(tag(name, **attributes).removesuffix(f"</{name}>"))


def join(*children: str | None) -> Html:
    """Returns the children one after the other, escaped unless they are HTML."""
    texts = (c if isinstance(c, Html) else html.escape(c) for c in children if c is not None)
    return Html("".join(texts))


def html_table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    foot: Iterable[Sequence[str]] = (),
    kind: str | None = None,
) -> Html:
    """Returns a table whose first column heads its rows, in a box that scrolls if it must.

    `head` may be empty; `foot` are the rows that sum it up; `kind` is a class of the style sheet.
    """
    columns = [tag("th", text, scope="col") for text in head]
    last = list(map(_row, foot))
    whole = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *columns)) if columns else None,
        tag("tbody", *map(_row, rows)),
        tag("tfoot", *last) if last else None,
        class_=kind,
    )
    return scrolling(whole, caption)


def scrolling(content: Html, label: str) -> Html:
    """Returns a box that scrolls where its content is too large, by keyboard too."""
    return tag("section", content, class_="scroll", aria_label=label, tabindex=0)


def _row(cells: Sequence[str]) -> Html:
    first, *others = cells
    return tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in others))


class Picture(NamedTuple):
    """A finished figure; a notebook shows it with its text."""

    name: str  # of its file, without suffix
    alt: str  # what it shows, for who cannot see it
    figure: "Figure"

    def _repr_html_(self) -> str:
        prefix = f"{self.name}-{secrets.token_hex(4)}"  # a notebook may show it twice
        return _figure(self, prefix, style="max-width: 100%; height: auto; overflow: visible")


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


def page_text(title: str, opening: Iterable[Html], sections: Sequence[Section]) -> str:
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


def make_folder(folder: Path) -> None:
    """Makes the folder of a report, unless it is there; raises UserError where that cannot be."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; move it away, the report is a folder of that name")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error


def write_page(folder: Path, text: str, sections: Sequence[Section]) -> Path:
    """Writes index.html and the pictures, each whole or not at all; then removes older pictures.

    Returns the page's path.
    """
    make_folder(folder)
    older = set(folder.glob("*.png"))
    written: set[Path] = set()
    for item in itertools.chain.from_iterable(section.items for section in sections):
        if isinstance(item, Picture | Photo):
            path = folder / f"{item.name}.png"
            written.add(path)
            if isinstance(item, Picture):
                write_png(path, item.figure)
            else:
                files.write(path, item.png)
    files.write(folder / "index.html", text)
    try:
        for path in older - written:
            path.unlink(missing_ok=True)  # another report may have done so
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
    return folder / "index.html"


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
    wide = picture.figure.get_figwidth() > _WIDE
    return _figure(picture, picture.name, class_="wide" if wide else None)


def _figure(
    picture: Picture, prefix: str, style: str | None = None, class_: str | None = None
) -> Html:
    """Renders a figure as SVG, named by its caption, which states the finding.

    `style` is of the drawing and `class_` of the whole; a wide one is in a box that scrolls.
    """
    caption = f"{prefix}-caption"
    attributes = f'role="img" aria-labelledby="{caption}"' + (f' style="{style}"' if style else "")
    drawing = Html(svg(picture.figure, prefix).replace("<svg ", f"<svg {attributes} ", 1))
    label = picture.name.replace("_", " ") + ", figure"
    box = scrolling(drawing, label) if class_ == "wide" else drawing
    return tag("figure", box, tag("figcaption", picture.alt, id=caption), class_=class_)


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
