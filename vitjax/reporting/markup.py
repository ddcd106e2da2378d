"""HTML elements as Python calls; whatever is not HTML already is escaped."""

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""


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


def table(
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
