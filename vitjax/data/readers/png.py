"""PNG files by their chunks: decodes many small ones of one shape at once."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from vitjax.errors import UserError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPE = {1: 0, 3: 2}  # by number of channels
_TEXTS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks that EXIF data may be in
_NOT_PIXELS = (*_TEXTS, b"tRNS")  # a colour that is transparent, or an orientation


def decode_stack(files: Sequence[bytes], height: int, width: int, channels: int) -> np.ndarray:
    """PNG files of 8 bits and the same shape -> uint8 [N, H, W, C], C is 1 or 3.

    PIL needs 0.1 ms to open a file, whatever its size. A PNG file is a deflated sequence of rows
    that refer to the row above, which is zero for the first; so the rows of all files, with a row
    of zeros after each, are one tall picture that PIL decodes in one go. Checksums of the
    pixels are verified. Raises UserError or zlib.error if a file is damaged, of another kind,
    or tells of a transparent colour or an orientation.
    """
    from PIL import Image

    blank = bytes(1 + width * channels)  # a byte that names the row's filter, then the pixels
    rows = [part for file in files for part in (_rows(file, height, width, channels), blank)]
    tall = _header(height=len(files) * (height + 1), width=width, channels=channels)
    pixels = _chunk(b"IDAT", zlib.compress(b"".join(rows), level=0))
    with Image.open(io.BytesIO(tall + pixels + _chunk(b"IEND", b""))) as image:
        stack = np.frombuffer(image.tobytes(), np.uint8)
    return stack.reshape(len(files), height + 1, width, channels)[:, :height]


def has_text_behind_pixels(path: str) -> bool:
    """Whether a PNG file has EXIF data or text that stand behind its pixels, which are skipped."""
    behind = False
    with open(path, "rb", buffering=0) as file:
        file.seek(len(_SIGNATURE))
        while len(start := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            behind = behind or kind == b"IDAT"
            if behind and kind in _TEXTS:
                return True
            file.seek(length + 4, io.SEEK_CUR)
    return False


def _rows(file: bytes, height: int, width: int, channels: int) -> bytes:
    """The inflated rows of one file."""
    header = _header(height, width, channels)
    if not file.startswith(header):
        raise UserError(f"no PNG file of {height}x{width}x{channels} with 8 bits")
    deflated, position, kind = [], len(header), b""
    while kind != b"IEND" and position + 8 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, position)
        if kind in _NOT_PIXELS:
            raise UserError(f"a PNG file with {kind.decode()}, which may change its pixels")
        if kind == b"IDAT":
            deflated.append(file[position + 8 : position + 8 + length])
        position += length + 12
    rows = zlib.decompress(b"".join(deflated))
    if len(rows) != height * (1 + width * channels):
        raise UserError(f"{len(rows)} bytes of pixels, expected {height} rows of {width} pixels")
    return rows


def _header(height: int, width: int, channels: int) -> bytes:
    """Signature and first chunk of a plain file: 8 bits, not interlaced."""
    fields = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPE[channels], 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", fields)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
