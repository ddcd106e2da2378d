"""Transparent colours of PNG files of any depth, against a PNG file written by hand."""

import io
import struct
import zlib

import numpy as np
import pytest

from vitjax.data.readers.pixels import open_image, to_array, transparent


def chunk(kind, content):
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(depth, colour_type, row, colour, width=4):
    """A file of one row of pixels, as its bytes, and the colour in its tRNS chunk."""
    head = struct.pack(">IIBBBBB", width, 1, depth, colour_type, 0, 0, 0)
    chunks = {b"IHDR": head, b"tRNS": colour, b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks.items())


@pytest.mark.parametrize(
    ("depth", "row", "colour", "expected"),
    [
        (1, b"\x40", 1, [0, 255, 0, 0]),
        (1, b"\x40", 0, [255, 255, 255, 255]),
        (2, b"\x1b", 2, [0, 85, 255, 255]),
        (4, b"\x05\xaf", 5, [0, 255, 170, 255]),
        (8, b"\x00\x05\x0a\xff", 5, [0, 255, 10, 255]),
    ],
)
def test_a_transparent_gray_becomes_white(depth, row, colour, expected):
    file = png(depth, 0, row, struct.pack(">H", colour))
    with open_image(io.BytesIO(file)) as image:
        assert to_array(image, None, 1, "resize").ravel().tolist() == expected
    with open_image(io.BytesIO(file)) as image:
        assert transparent(image).any()


def test_a_transparent_colour_of_sixteen_bits_becomes_white():
    colours = [[0x1234, 0x5678, 0x9ABC], [0x1234, 0x5678, 0x9BBC], [256, 512, 768], [65535] * 3]
    row = np.array(colours, ">u2").tobytes()
    with open_image(io.BytesIO(png(16, 2, row, row[:6]))) as image:
        found = to_array(image, None, 3, "resize")[0].tolist()
    assert found == [[255] * 3, [0x12, 0x56, 0x9B], [1, 2, 3], [255] * 3]
