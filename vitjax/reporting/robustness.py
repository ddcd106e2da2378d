"""What corruptions of the images cost: accuracy by kind and strength, and what they look like."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vitjax.reporting.drawing import (
    GRAY,
    image_axes,
    new_axes,
    new_figure,
    tile_centres,
    tiles,
)
from vitjax.reporting.page import Picture, Section, html_table, note
from vitjax.text import table

_PIXELS = 96  # of an example's longer side, from twice as many on


class Robustness(NamedTuple):
    """What a report shows of corruptions."""

    numbers: Mapping[str, Any]  # corruptions.json
    image: np.ndarray  # uint8 [H, W, C], one of those that were measured
    examples: np.ndarray  # the same corrupted, uint8 [corruptions, strengths, H, W, C]


def _strengths(numbers: Mapping[str, Any]) -> list[str]:
    first = next(iter(numbers["corruptions"].values()))
    return [str(i + 1) for i in range(len(first["accuracy"]))]


def _rows(numbers: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Returns the accuracies under each corruption, and their means last, as text."""
    accuracies = np.array([of["accuracy"] for of in numbers["corruptions"].values()])
    whole = np.concatenate([accuracies, accuracies.mean(axis=0, keepdims=True)])
    names = [*numbers["corruptions"], "mean"]
    return [
        (name, *(f"{accuracy:.4f}" for accuracy in (*row, row.mean())))
        for name, row in zip(names, whole, strict=True)
    ]


def _head(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    return "corruption", *_strengths(numbers), "mean"


def robustness_table(numbers: Mapping[str, Any]) -> str:
    """Returns the numbers of corruptions.json for the terminal."""
    rows = table([_head(numbers), *_rows(numbers)])
    corrupted, plain = numbers["mean_accuracy"], numbers["accuracy"]
    return f"{rows}\nmean accuracy on corrupted images {corrupted:.4f}, as they are {plain:.4f}"


def robustness_picture(numbers: Mapping[str, Any]) -> Picture:
    """Draws the accuracy under each corruption by its strength."""
    figure = new_figure(5.4, 3.4)
    strengths = ["none", *_strengths(numbers)]
    axes = new_axes(figure, xlabel="strength", ylabel="accuracy")
    for marker, (name, of) in zip("osD^vP", numbers["corruptions"].items(), strict=False):
        values = [numbers["accuracy"], *of["accuracy"]]
        axes.plot(range(len(values)), values, f"-{marker}", markersize=4, label=name)
    axes.axhline(numbers["mean_accuracy"], color=GRAY, linestyle=":", label="mean of all")
    axes.set_xticks(range(len(strengths)), strengths)
    axes.set_ylim(0, 1.02)
    figure.legend(frameon=False, fontsize="small", loc="outside right upper")
    means = {name: np.mean(of["accuracy"]) for name, of in numbers["corruptions"].items()}
    worst, best = min(means, key=lambda n: means[n]), max(means, key=lambda n: means[n])
    alt = (
        f"Accuracy on corrupted images: {numbers['mean_accuracy']:.1%} on the mean, least under "
        f"{worst} ({means[worst]:.1%}), most under {best} ({means[best]:.1%})."
    )
    return Picture("robustness", alt, figure)


def corruptions_picture(robustness: Robustness) -> Picture:
    """Draws one image under every corruption, a row each, its strengths from left to right."""
    names, image = list(robustness.numbers["corruptions"]), robustness.image
    plain = np.broadcast_to(image, (len(names), 1, *image.shape))
    images = np.concatenate([plain, robustness.examples], axis=1)
    columns = images.shape[1]
    shown = _smaller(images.reshape(-1, *image.shape) / 255)
    colors = np.broadcast_to(shown, (*shown.shape[:-1], 3))
    opaque = np.concatenate([colors, np.ones_like(colors[..., :1])], axis=-1)
    sheet = np.nan_to_num(tiles(opaque, columns))  # clear between them
    figure = new_figure(5.4, 5.2 * sheet.shape[0] / sheet.shape[1])
    axes = image_axes(figure, 111, sheet)
    rows_at, columns_at = tile_centres(sheet.shape, (len(names), columns))
    axes.set_yticks(rows_at, names, fontsize="small")
    axes.set_xticks(columns_at, ["none", *_strengths(robustness.numbers)], fontsize="small")
    axes.tick_params(length=0)
    alt = "An image of the split under every corruption, its strength from left to right."
    return Picture("corruptions", alt, figure)


def _smaller(images: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W, C] whose longer side is below 2 * `_PIXELS`: means of squares."""
    factor = max(1, max(images.shape[1:3]) // _PIXELS)
    count, *size, channels = images.shape
    height, width = (max(1, side // factor) for side in size)
    cut = images[:, : height * factor, : width * factor]
    return cut.reshape(count, height, -1, width, cut.shape[2] // width, channels).mean(axis=(2, 4))


def robustness_section(robustness: Robustness | None) -> Section:
    """Accuracy under corruptions of the images, or how to measure it."""
    if robustness is None:
        command = "python -m vitjax.evaluate --corruptions"
        return Section("Robustness", [note(f"Not measured; {command} measures it.")])
    numbers = robustness.numbers
    *rows, means = _rows(numbers)
    caption = f"Accuracy on {numbers['num_examples']:,} corrupted images by strength"
    units = [
        (name, ", ".join(f"{strength:g}" for strength in of["strengths"]), of["unit"])
        for name, of in numbers["corruptions"].items()
    ]
    items: list[Any] = [
        note(
            f"On the images as they are the accuracy is {numbers['accuracy']:.4f}. Each image was "
            "corrupted in every way at every strength, by the same draws for any model."
        ),
        robustness_picture(numbers),
        corruptions_picture(robustness),
        html_table(caption, _head(numbers), rows, [means]),
        html_table(
            "The strengths", ("corruption", "strengths", "what they are"), units, (), "words"
        ),
    ]
    return Section("Robustness", items)
