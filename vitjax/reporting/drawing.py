"""How every figure is made and stored. The only importer of Matplotlib, and only when it draws.

Text and axes keep Matplotlib's black, which `svg` turns into the colour of the page's text; areas
stay clear. So a figure reads on light and dark pages.
"""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitjax import files
from vitjax.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GRAY = "#3f7fd0", "#d9730d", "#2e9e5b", "#888888"  # seen on light and dark
INK = "#1c2128"  # text on a light area, which stays dark on dark pages

_TIGHT: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.03}  # nothing is cut off
_GAP = 1 / 12  # between tiles, of their longer side
_TILE = 12  # pixels, the least longer side of an image among others


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty figure, sizes in inches, whose parts are kept from overlapping."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(figure: "Figure", where: Any = 111, title: str = "", **options: Any) -> Any:
    """Returns axes with a light grid and without a box."""
    axes = figure.add_subplot(where, facecolor="none", **options)
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.4, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def image_axes(
    figure: "Figure", where: Any, image: np.ndarray, title: str = "", **options: Any
) -> Any:
    """Shows an image, or a map of values, [R, C] or [R, C, 3 or 4], without axes; returns them."""
    axes = figure.add_subplot(where, facecolor="none")
    axes.set_title(title, fontsize="small")
    axes.imshow(image, interpolation="none", **options)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


def rgb(color: str) -> tuple[float, float, float]:
    """Returns a colour as red, green and blue in [0, 1]."""
    from matplotlib import colors

    return colors.to_rgb(color)


def colored(values: np.ndarray, colors: str = "inferno") -> np.ndarray:
    """Returns values [R, C] in [0, 1] as RGB [R, C, 3] in [0, 1]."""
    from matplotlib import colormaps

    return np.asarray(colormaps[colors](values))[..., :3]


def shortened(text: str, most: int = 44) -> str:
    """Returns a label of at most `most` characters: its middle goes, as both ends tell it apart."""
    if len(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{text[: most - 3 - end]}...{text[-end:]}"


def tiles(images: np.ndarray, columns: int) -> np.ndarray:
    """Lays images [N, R, C, ...] out in rows of `columns`, NaN between them and where none is.

    Small images are enlarged in whole pixels, so that the gaps are narrow.
    """
    factor = max(1, -(-_TILE // max(images.shape[1:3])))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    count, height, width, *rest = images.shape
    rows = -(-count // columns)
    gap = max(1, round(max(height, width) * _GAP))
    sheet = np.full((rows, height + gap, columns, width + gap, *rest), np.nan, np.float32)
    for i, image in enumerate(images):
        sheet[i // columns, :height, i % columns, :width] = image
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), *rest)
    return sheet[:-gap, :-gap]


def tile_centres(sheet: tuple[int, ...], counts: tuple[int, int]) -> list[np.ndarray]:
    """Returns where the centres of rows and of columns of tiles are on a sheet of that shape."""
    sizes = [length / (n + (n - 1) * _GAP) for length, n in zip(sheet, counts, strict=False)]
    return [
        np.arange(n) * size * (1 + _GAP) + (size - 1) / 2
        for size, n in zip(sizes, counts, strict=True)
    ]


def png(figure: "Figure", dpi: int = 150) -> bytes:
    """Returns the figure as a PNG file on white."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, facecolor="white", **_TIGHT)
    return file.getvalue()


def write_png(path: Path, figure: "Figure") -> None:
    """Writes the figure as a PNG file, whole or not at all, making its folder if need be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder of {path}: {error.strerror or error}") from error
    files.write(path, png(figure))


def svg(figure: "Figure", prefix: str) -> str:
    """Returns the figure as an <svg> element; `prefix` keeps its ids apart from other figures'."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        options = _TIGHT | {"transparent": True, "metadata": {"Date": None}}
        figure.savefig(file, format="svg", **options)
    text = file.getvalue()
    return _for_a_page(text[text.index("<svg") :], prefix)


def _for_a_page(text: str, prefix: str) -> str:
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{prefix}-", text)
    text = text.replace("#000000", "currentColor").strip()
    return text.replace("<svg ", '<svg fill="currentColor" ', 1)  # black areas and text have none
