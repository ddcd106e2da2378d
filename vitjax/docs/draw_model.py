"""Draws model.svg: how an image becomes a class. Run as `python vitjax/docs/draw_model.py`."""

from pathlib import Path

from sklearn.datasets import load_digits

DIGIT = 13  # of scikit-learn's, a three
PIXEL, GAP = 14, 5
INK, PAPER, ACCENT = "#1f2328", "#f6f8fa", "#0969da"


def square(x: float, y: float, size: float, fill: str) -> str:
    """Returns a square without an edge."""
    return f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" fill="{fill}"/>'


def box(x: float, y: float, width: float, height: float, *lines: str) -> str:
    """Returns a box with lines of text in its middle."""
    first = y + height / 2 + 5 - 9 * (len(lines) - 1)
    texts = (label(x + width / 2, first + 18 * i, line) for i, line in enumerate(lines))
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{PAPER}" '
        f'stroke="{ACCENT}"/>' + "".join(texts)
    )


def label(x: float, y: float, line: str) -> str:
    """Returns a line of text around x."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{INK}">{line}</text>'


def arrow(x: float, y: float, length: float) -> str:
    """Returns an arrow to the right."""
    tip = x + length
    return (
        f'<path d="M{x:g} {y:g}H{tip:g}m-6 -4l6 4l-6 4" fill="none" stroke="{INK}" '
        'stroke-width="1.5"/>'
    )


def digit(x: float, y: float, gap: float) -> str:
    """Returns a digit of 8x8 pixels, with a gap behind every second one: its patches."""
    pixels = load_digits().images[DIGIT]
    squares = []
    for row in range(8):
        for column in range(8):
            shade = int(255 * pixels[row, column] / 16)
            left = x + column * PIXEL + column // 2 * gap
            top = y + row * PIXEL + row // 2 * gap
            squares.append(square(left, top, PIXEL, f"rgb({shade},{shade},{shade})"))
    return "".join(squares)


def picture() -> str:
    """Returns the drawing as SVG."""
    middle = 100
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 210" font-size="14" '
        'font-family="sans-serif">',
        '<rect width="900" height="210" fill="white"/>',
        digit(20, middle - 4 * PIXEL, 0),
        label(76, 190, "image"),
        arrow(142, middle, 22),
        digit(174, middle - 4 * PIXEL - 1.5 * GAP, GAP),
        label(237, 190, "patches"),
        arrow(312, middle, 22),
        box(344, middle - 32, 76, 64, "stem"),
        arrow(428, middle, 22),
        box(
            458, middle - 64, 212, 128, "num_layers blocks:", "norm, token mixer, +", "norm, MLP, +"
        ),
        label(564, 190, "token mixer: ViT, Linformer, Mixer"),
        arrow(678, middle, 22),
        box(708, middle - 32, 84, 64, "pooling,", "head"),
        arrow(800, middle, 22),
        label(856, middle + 5, "three"),
        label(856, 190, "class"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("model.svg").write_text(picture())
