"""One image file: what its head tells, and its pixels as an array."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from vitjax.data.readers.png import has_text_behind_pixels
from vitjax.errors import UserError
from vitjax.text import one_line

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # of EXIF
_WIDENED = {"L;2": 85, "L;4": 17}  # PIL's name of how gray is stored -> factor to 8 bits
GRAY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N")  # modes of PIL without colour


def header(path: str) -> tuple[tuple[int, int], str] | None:
    """Size (width, height) and mode of an image file; None if it cannot be opened.

    The size is that of the image as its EXIF data turn it.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            turned = _lies_on_its_side(image, path)
            return image.size[::-1] if turned else image.size, image.mode
    except Exception:  # damaged files raise many types; decoding will list this one
        return None


def fewer_bits(paths: Sequence[str]) -> str:
    """Says that images of 16 bits use fewer, as a sensor's 12, of which 8 would leave few levels.

    Returns "" where they use more than 14, and unless all these files are gray images of 16 bits.
    """
    from PIL import Image

    brightest = 0
    for path in paths:
        try:
            with Image.open(path) as image:
                if not image.mode.startswith("I;16"):
                    return ""
                brightest = max(brightest, int(np.asarray(image).max()))
        except Exception:  # damaged files raise many types; decoding will list this one
            return ""
    if not 0 < brightest < 2**14:
        return ""
    return (
        f"warning   {len(paths)} images that were looked at have 16 bits and no pixel above "
        f"{brightest:,} of 65,535: {brightest // 256 + 1} levels of gray will be left of them; "
        f"multiply the pixels by {2 ** (16 - brightest.bit_length())}"
    )


def _lies_on_its_side(image: "Image.Image", path: str) -> bool:
    """Whether the EXIF data of an opened file will make its height its width."""
    from PIL import Image

    if image.format == "TIFF":  # Pillow tells its size as turned
        return False
    if image.format == "PNG" and not has_text_behind_pixels(path):
        exif = Image.Image.getexif(image)  # that of PNG files would read all pixels for it
    else:
        exif = image.getexif()
    return exif.get(ORIENTATION) in _ON_ITS_SIDE


def open_image(file: str | Path | IO[bytes]) -> "Image.Image":
    """Opens an image file as PIL does, and tells its transparent colour as PIL tells pixels.

    PIL leaves the colour of a PNG file as it stands there, and makes 8 bits of the pixels: of 2 or
    4 bits, and of the 16 bits of a colour, of which it keeps the upper half.
    """
    from PIL import Image

    image = Image.open(file)
    colour = image.info.get("transparency")
    if image.format == "PNG" and colour is not None:
        stored = image.tile[0][3] if image.tile else ""
        if stored in _WIDENED:
            image.info["transparency"] = colour * _WIDENED[stored]
        elif stored == "1":  # 1 in older Pillow
            image.info["transparency"] = 255 if colour else 0
        elif stored == "RGB;16B":
            image.info["transparency"] = tuple(part >> 8 for part in colour)
    return image


def to_array(
    image: "Image.Image", size: int | tuple[int, int] | None, channels: int, fit: str
) -> np.ndarray:
    """An opened image -> uint8 [H, W, C]; UserError for 32-bit pixels.

    `size` is the side of a square or (height, width), in pixels; None keeps the image's own. It is
    turned as its EXIF data say, and what is transparent becomes white.
    """
    from PIL import Image, ImageOps

    mode = "L" if channels == 1 else "RGB"
    image.load()  # EXIF data may stand behind the pixels
    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)  # a copy: the image may be its caller's
    if image.mode in ("I", "F"):
        raise UserError(f"has 32-bit pixels (mode {image.mode}), expected 8 bits")
    if image.mode.startswith("I;16"):  # PIL would clip 16 bits to 255 instead of scaling
        scaled = (np.asarray(image) >> 8).astype(np.uint8)
        image = Image.fromarray(np.where(transparent(image), np.uint8(255), scaled))
    elif image.has_transparency_data:
        image = _on_white(_with_alpha(image))
    if image.mode != mode:
        image = image.convert(mode)
    height, width = (size, size) if isinstance(size, int) else size or image.size[::-1]
    if image.size != (width, height):
        if fit == "center_crop":
            left, top = _offset(image.size[0], width), _offset(image.size[1], height)
            image = image.crop((left, top, left + width, top + height))  # pads with 0
        else:
            image = image.resize((width, height), Image.Resampling.BILINEAR)  # antialiased
    width, height = image.size
    return np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, channels)


def transparent(image: "Image.Image") -> np.ndarray:
    """Which pixels of an opened image are transparent, in part at least; bool [H, W]."""
    if image.mode.startswith("I;16"):  # PIL does not make transparent what a PNG file says is
        return np.asarray(image) == image.info.get("transparency", -1)
    return np.asarray(_with_alpha(image))[..., 3] < 255


def _with_alpha(image: "Image.Image") -> "Image.Image":
    """The image as RGBA. Older Pillow takes no transparent colour of one bit."""
    if image.mode == "1":
        colour = image.info.get("transparency")
        image = image.convert("L")
        image.info["transparency"] = colour
    return image.convert("RGBA")


def _on_white(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _offset(length: int, size: int) -> int:
    """Where a central window of `size` starts; odd differences fall as in torchvision."""
    return round((length - size) / 2) if length >= size else -((size - length) // 2)


def why_unreadable(error: Exception) -> str:
    """Returns in words what PIL raised for an image file."""
    from PIL import UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "no such file"
    return "no image" if isinstance(error, UnidentifiedImageError) else one_line(error)
