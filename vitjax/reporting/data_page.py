"""What looking at every image of a data set has found, for the terminal and as a page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vitjax.reporting.drawing import BLUE, GREEN, ORANGE, new_axes, new_figure, shortened
from vitjax.reporting.page import (
    Html,
    Photo,
    Picture,
    Section,
    html_table,
    note,
    numbers,
    page_text,
    tag,
)
from vitjax.reporting.predictions import thumbnail
from vitjax.text import printable, table

Findings = Mapping[str, Any]  # as vitjax.data.findings gives them
ReadImage = Callable[[str, int], np.ndarray]  # split, number -> uint8 [H, W, C]

_MOST_ROWS = 500  # of a table of images
_MOST_PHOTOS = 24
_MOST_POINTS = 40  # classes in the picture; beyond these, only those at both ends
_UPRIGHT = "1"  # EXIF's orientation


def findings_text(findings: Findings) -> str:
    """Returns the numbers of each split, then errors and warnings, a line each."""
    lines = [table(_split_rows(findings)), ""]
    lines += [f"error     {text}" for text in findings["errors"]]
    lines += [f"warning   {text}" for text in findings["warnings"]]
    counts = [_count(len(findings[kind]), kind[:-1]) for kind in ("errors", "warnings")]
    return "\n".join([*lines, ", ".join(counts)])


def findings_page(findings: Findings, read_image: ReadImage) -> str:
    """Returns the whole page, which needs no other file and no network."""
    sections = [
        _findings_section(findings),
        _splits_section(findings),
        _classes_section(findings),
        _damaged_section(findings),
        _repeats_section(findings, read_image),
        _constant_section(findings, read_image),
    ]
    splits = findings["splits"]
    pairs = [(name, f"{of['num_images']:,}") for name, of in splits.items()]
    pairs += [("classes", f"{len(findings['class_names']):,}")]
    pairs += [(kind, f"{len(findings[kind]):,}") for kind in ("errors", "warnings")]
    place = f" in {printable(findings['data_dir'])}" if findings["data_dir"] else ""
    return page_text(f"Data of {findings['name']}{place}", [numbers(pairs)], sections)


def _count(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _split_rows(findings: Findings) -> list[tuple[str, ...]]:
    """Returns the table of all splits, its head first."""
    splits = findings["splits"].values()

    def row(title: str, cell: Callable[[Mapping[str, Any]], str]) -> tuple[str, ...]:
        return title, *map(cell, splits)

    return [
        ("", *findings["splits"]),
        row("images", lambda of: f"{of['num_images']:,}"),
        row("cannot be read", lambda of: f"{of['damaged']:,}"),
        row("in the smallest class", lambda of: f"{min(of['classes'].values()):,}"),
        row("in the largest class", lambda of: f"{max(of['classes'].values()):,}"),
        row("height, least/median/greatest", lambda of: _sizes(of["heights"])),
        row("width, least/median/greatest", lambda of: _sizes(of["widths"])),
        row("mode", lambda of: _named(of["modes"])),
        row("turned by EXIF", lambda of: f"{_turned(of):,}"),
        row("with transparent pixels", lambda of: f"{of['transparent']:,}"),
        row("of one colour", lambda of: f"{of['constant']:,}"),
        row("copies of earlier ones", lambda of: f"{of['repeated']:,}"),
    ]


def _sizes(of: Mapping[str, float] | None) -> str:
    return "" if of is None else f"{of['min']}/{of['median']:g}/{of['max']}"


def _named(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _turned(of: Mapping[str, Any]) -> int:
    return sum(count for value, count in of["orientations"].items() if value != _UPRIGHT)


def _findings_section(findings: Findings) -> Section:
    rows = [("error", text) for text in findings["errors"]]
    rows += [("warning", text) for text in findings["warnings"]]
    found = html_table("What to mend, or to know", ("", "finding"), rows, kind="words")
    return Section("Findings", [found if rows else note("Nothing is amiss.")])


def _splits_section(findings: Findings) -> Section:
    head, *rows = _split_rows(findings)
    items: list[Html] = [html_table("Images of each split", head, rows)]
    turned = [
        (f"{value} ({split})", f"{count:,}")
        for split, of in findings["splits"].items()
        for value, count in sorted(of["orientations"].items())
        if value != _UPRIGHT
    ]
    if turned:
        items.append(html_table("Turned by EXIF", ("orientation", "images"), turned))
    return Section("Splits", items)


def _classes_section(findings: Findings) -> Section:
    """Images by class and split."""
    splits = findings["splits"]
    names = [printable(name) for name in findings["class_names"]]
    counts = [list(of["classes"].values()) for of in splits.values()]
    rows = [(name, *(f"{n:,}" for n in each)) for name, *each in zip(names, *counts, strict=True)]
    found = html_table("Images of each class", ("class", *splits), rows)
    return Section(
        "Classes", [found, _classes_picture(names, dict(zip(splits, counts, strict=True)))]
    )


def _classes_picture(names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> Picture:
    """Draws the share that each class has of each split, the most frequent in train on top."""
    of_train = np.array(counts["train"])
    order = np.argsort(-of_train, kind="stable")
    cut = ""
    if len(order) > _MOST_POINTS:
        half = _MOST_POINTS // 2
        order, cut = np.r_[order[:half], order[-half:]], f"{half} at each end of "
    figure = new_figure(4.6, 1 + 0.17 * max(len(order), 8))
    axes = new_axes(figure, xlabel=f"share of the split, {cut}{len(names)} classes")
    for (split, of), color, mark in zip(counts.items(), (BLUE, ORANGE, GREEN), "os^", strict=False):
        shares = np.array(of)[order] / max(sum(of), 1)
        axes.plot(shares, range(len(order)), mark, color=color, label=split, markersize=4)
    axes.set_yticks(range(len(order)), [shortened(names[i]) for i in order], fontsize="small")
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(left=0)
    figure.legend(frameon=False, fontsize="small", ncols=3, loc="outside upper right")
    most, least = order[0], order[-1]
    alt = (
        f"Images by class: most in train are {names[most]} with {of_train[most]:,}, fewest "
        f"{names[least]} with {of_train[least]:,}."
    )
    return Picture("classes", alt, figure)


def _damaged_section(findings: Findings) -> Section:
    rows = [
        (_name(image), printable(image["class"]), image["reason"]) for image in findings["damaged"]
    ]
    table_of_all = _image_table("Why each cannot be read", ("image", "class", "reason"), rows)
    return Section("Images that cannot be read", [table_of_all])


def _repeats_section(findings: Findings, read_image: ReadImage) -> Section:
    title = "The same image several times"
    groups = sorted(findings["repeats"], key=_concern)
    rows = [(" = ".join(map(_name, group[:8])), _verdict(group)) for group in groups]
    caption = "Under several labels first, then in several splits"
    items: list[Html | Photo] = [_image_table(caption, ("images", "how often"), rows)]
    for rank, group in enumerate(groups[:_MOST_PHOTOS], start=1):
        named = " = ".join(f"{_name(image)} ({printable(image['class'])})" for image in group[:4])
        pixels = read_image(group[0]["split"], group[0]["number"])
        items.append(Photo(f"same_{rank:02}", _verdict(group), named, thumbnail(pixels)))
    return Section(title, items)


def _concern(group: Sequence[Mapping[str, Any]]) -> tuple[bool, bool]:
    """Orders groups: several labels first, then several splits."""
    several = [len({image[key] for image in group}) > 1 for key in ("class", "split")]
    return not several[0], not several[1]


def _verdict(group: Sequence[Mapping[str, Any]]) -> str:
    one_label, one_split = _concern(group)
    labels = "" if one_label else ", under several labels"
    splits = "" if one_split else ", in several splits"
    return f"{len(group)} times{labels}{splits}"


def _constant_section(findings: Findings, read_image: ReadImage) -> Section:
    constant, head = findings["constant"], ("image", "class")
    rows = [(_name(image), printable(image["class"])) for image in constant]
    photos = [
        Photo(
            f"constant_{rank:02}",
            "An image of one colour",
            _name(image),
            thumbnail(read_image(image["split"], image["number"])),
        )
        for rank, image in enumerate(constant[:_MOST_PHOTOS], start=1)
    ]
    return Section("Images of one colour", [_image_table("Where they are", head, rows), *photos])


def _name(image: Mapping[str, Any]) -> str:
    """Returns what an image is called, behind its split."""
    id, split = printable(image["id"]), image["split"]
    return id if id.startswith(f"{split}/") else f"{split}: {id}"


def _image_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Returns a table of images, of many the first; a line where there is none."""
    if not rows:
        return note("There are none.")
    shown = html_table(caption, head, rows[:_MOST_ROWS], kind="words")
    if len(rows) <= _MOST_ROWS:
        return shown
    return Html(shown + tag("p", f"{len(rows) - _MOST_ROWS:,} more: --json lists all."))
