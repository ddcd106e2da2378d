import io

import numpy as np
import pytest
from PIL import Image

from vitjax.data.readers.png import decode_stack
from vitjax.errors import UserError


def encode(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(
        file, "png", **options
    )
    return file.getvalue()


@pytest.fixture(params=[1, 3])
def pictures(request):
    """Noise, slopes, stripes and blanks, for which the encoder picks different filters."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:9, :13]
    plain = [rng.integers(0, 256, (9, 13)), 9 * x + 3 * y, y * x, 255 * (x % 2), 0 * x, 0 * x + 255]
    images = np.stack([*plain, *plain[::-1]]).astype(np.uint8)
    return np.stack([np.roll(images, i, 1) for i in range(request.param)], axis=-1)


def test_equals_the_pictures(pictures):
    files = [encode(pixels) for pixels in pictures]
    np.testing.assert_array_equal(decode_stack(files, *pictures.shape[1:]), pictures)


def test_equals_the_pictures_at_any_compression(pictures):
    files = [encode(pixels, compress_level=i % 10) for i, pixels in enumerate(pictures)]
    np.testing.assert_array_equal(decode_stack(files, *pictures.shape[1:]), pictures)


def test_another_size(pictures):
    files = [encode(pictures[0]), encode(pictures[1, 1:])]
    with pytest.raises(UserError, match=r"no PNG file of 9x13x\d with 8 bits"):
        decode_stack(files, *pictures.shape[1:])


@pytest.mark.parametrize("keep", [0, 20, 50, -20])
def test_cut(pictures, keep):
    files = [encode(pictures[0]), encode(pictures[0])[:keep]]
    with pytest.raises(Exception, match=r"no PNG file|rows|incomplete"):
        decode_stack(files, *pictures.shape[1:])


def test_what_may_change_pixels_is_left_to_pillow(pictures):
    exif = Image.Exif()
    exif[0x0112] = 3  # shown upside down
    for told in ({"exif": exif}, {"transparency": 0 if pictures.shape[-1] == 1 else (0, 0, 0)}):
        files = [encode(pictures[0]), encode(pictures[0], **told)]
        with pytest.raises(UserError, match="which may change its pixels"):
            decode_stack(files, *pictures.shape[1:])
