import functools
import platform
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vitjax.data.augment import operations
from vitjax.data.augment.autocontrast import autocontrast_table
from vitjax.data.augment.operations import OPERATIONS, apply_operation
from vitjax.data.augment.policies import rand_augment_strengths, trivial_augment_strengths

GOLDENS = Path(__file__).parents[2] / "goldens"
HEIGHT, WIDTH = 24, 33
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
UNSIGNED = ("Identity", "Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
EXACT = (*UNSIGNED, "TranslateX", "TranslateY")

STRENGTHS = rand_augment_strengths(HEIGHT, WIDTH)
WIDE = trivial_augment_strengths()

by_gather = jax.jit(functools.partial(apply_operation, largest=WIDE[-1], method="gather"))
apply = jax.jit(functools.partial(apply_operation, largest=STRENGTHS[-1]))
apply_wide = jax.jit(functools.partial(apply_operation, largest=WIDE[-1]))


@pytest.fixture(autouse=True, scope="module")
def optimised():
    """Compiles as users do: two programs are compared bit for bit here."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


def noise(channels, *, low=0, high=256, shape=(HEIGHT, WIDTH)):
    return np.random.default_rng(0).integers(low, high, (*shape, channels), dtype=np.uint8)


def by_pil(image, name, magnitude):
    """What torchvision calls for a PIL image: Image.transform, ImageEnhance, ImageOps."""
    pil = Image.fromarray(image if image.shape[-1] == 3 else image[..., 0])

    def affine(*matrix):
        return pil.transform(pil.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)

    result = {
        "Identity": lambda: pil,
        "ShearX": lambda: affine(1, magnitude, 0, 0, 1, 0),
        "ShearY": lambda: affine(1, 0, 0, magnitude, 1, 0),
        "TranslateX": lambda: affine(1, 0, -int(magnitude), 0, 1, 0),
        "TranslateY": lambda: affine(1, 0, 0, 0, 1, -int(magnitude)),
        "Rotate": lambda: pil.rotate(magnitude, Image.Resampling.NEAREST),
        "Brightness": lambda: ImageEnhance.Brightness(pil).enhance(1 + magnitude),
        "Color": lambda: ImageEnhance.Color(pil).enhance(1 + magnitude),
        "Contrast": lambda: ImageEnhance.Contrast(pil).enhance(1 + magnitude),
        "Sharpness": lambda: ImageEnhance.Sharpness(pil).enhance(1 + magnitude),
        "Posterize": lambda: ImageOps.posterize(pil, int(magnitude)),
        "Solarize": lambda: ImageOps.solarize(pil, magnitude),
        "AutoContrast": lambda: ImageOps.autocontrast(pil),
        "Equalize": lambda: ImageOps.equalize(pil),
        "Invert": lambda: ImageOps.invert(pil),
    }[name]()
    return np.asarray(result).reshape(image.shape)


def table(name, height, width):
    """torchvision's RandAugment._augmentation_space, with 31 bins."""
    posterize = 8 - np.round(np.arange(31) / (30 / 4))
    return {
        "Identity": np.zeros(31),
        "ShearX": np.linspace(0, 0.3, 31),
        "ShearY": np.linspace(0, 0.3, 31),
        "TranslateX": np.linspace(0, 150 / 331 * width, 31),
        "TranslateY": np.linspace(0, 150 / 331 * height, 31),
        "Rotate": np.linspace(0, 30, 31),
        "Brightness": np.linspace(0, 0.9, 31),
        "Color": np.linspace(0, 0.9, 31),
        "Contrast": np.linspace(0, 0.9, 31),
        "Sharpness": np.linspace(0, 0.9, 31),
        "Posterize": posterize,
        "Solarize": np.linspace(255, 0, 31),
        "AutoContrast": np.zeros(31),
        "Equalize": np.zeros(31),
        "Invert": np.zeros(31),
    }[name]


def assert_like_pil(image, name, magnitude):
    operation = by_gather if name == "Rotate" else apply_wide
    ours = operation(jnp.float32(image), OPERATIONS.index(name), jnp.float32(magnitude))
    expected = by_pil(image, name, magnitude).astype(np.float32)
    difference = np.abs(ours - expected)
    if name in GEOMETRIC:  # a tie of nearest pixels may fall to the other side
        assert np.mean(np.any(difference > 0, axis=-1)) < 0.005
    else:  # products of float32 that are whole numbers in exact arithmetic
        assert difference.max() <= 1
        assert np.mean(difference > 0) < 0.02
    if name in EXACT:
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_pils(name, channels):
    for magnitude_bin in (0, 9, 17, 30):
        magnitude = table(name, HEIGHT, WIDTH)[magnitude_bin]
        assert_like_pil(noise(channels), name, magnitude)
        wide = WIDE[magnitude_bin, OPERATIONS.index(name)]
        assert_like_pil(noise(channels), name, wide)
        if name not in UNSIGNED:
            assert_like_pil(noise(channels), name, -magnitude)
            assert_like_pil(noise(channels), name, -wide)


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (32, 32)])
@pytest.mark.parametrize("magnitude_bin", [0, 1, 9, 30])
def test_shears_and_gather_give_the_same_bits(magnitude_bin, shape):
    image = jnp.float32(noise(3, shape=shape))
    strengths = rand_augment_strengths(*shape)[magnitude_bin]
    by_shears = jax.jit(functools.partial(apply_operation, largest=strengths))
    for op, name in enumerate(OPERATIONS):
        for sign in (1,) if name in UNSIGNED else (1, -1):
            if name != "Rotate":
                args = image, op, sign * strengths[op]
                np.testing.assert_array_equal(by_shears(*args), by_gather(*args), name)


def test_rotation_by_shears_is_within_a_pixel_of_pils_each_way():
    y, x = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    image = np.stack([y, x, np.full_like(x, 255)], axis=-1).astype(np.uint8)
    for degrees in (-30.0, -9.0, 0.0, 1.0, 17.0, 30.0):
        ours = np.asarray(apply(jnp.float32(image), OPERATIONS.index("Rotate"), degrees))
        exact = by_pil(image, "Rotate", degrees).astype(np.float32)
        both = (ours[..., 2] == 255) & (exact[..., 2] == 255)
        assert both.mean() > 0.95 * (exact[..., 2] == 255).mean()
        assert np.abs(ours - exact)[both].max() <= 1
        if degrees == 0:
            np.testing.assert_array_equal(ours, image)


@pytest.mark.parametrize(("shape", "off"), [((25, 25), 1), ((24, 24), 1), ((24, 33), 2)])
def test_wide_rotation_by_shears_is_near_pils(shape, off):
    y, x = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image = np.stack([y, x, np.full_like(x, 255)], axis=-1).astype(np.uint8)
    for degrees in WIDE[[0, 5, 11, 15, 20, 25, 30], OPERATIONS.index("Rotate")]:
        for angle in (float(degrees), -float(degrees)):
            ours = np.asarray(apply_wide(jnp.float32(image), OPERATIONS.index("Rotate"), angle))
            exact = by_pil(image, "Rotate", angle).astype(np.float32)
            both = (ours[..., 2] == 255) & (exact[..., 2] == 255)
            assert both.mean() > 0.93 * (exact[..., 2] == 255).mean()
            assert np.abs(ours - exact)[both].max() <= off
            if angle % 90 == 0 and shape[0] == shape[1]:
                np.testing.assert_array_equal(ours, exact)


def test_equalize_counts_and_looks_up_alike_by_products():
    values = jnp.int32(noise(3, shape=(40, 40)))
    counts = operations.count(values)
    expected = [np.bincount(np.asarray(values[..., i]).ravel(), minlength=256) for i in range(3)]
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(operations.count_by_products(values), expected)
    table = jnp.float32(np.random.default_rng(1).integers(0, 256, (3, 256)))
    looked_up = np.stack([table[i][values[..., i]] for i in range(3)], axis=-1)
    np.testing.assert_array_equal(operations.look_up(values, table), looked_up)
    np.testing.assert_array_equal(operations.look_up_by_products(values, table), looked_up)


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize", "Contrast"])
def test_operation_is_pils_on_few_grey_levels(name):
    smooth = np.tile(np.arange(WIDTH, dtype=np.uint8)[None, :, None] + 90, (HEIGHT, 1, 3))
    constant = np.full_like(smooth, 77)
    halves = np.where(np.arange(WIDTH)[:, None] < 4, constant, 200).astype(np.uint8)
    for image in (smooth, constant, halves, noise(3, low=100, high=140)):
        assert_like_pil(image, name, 0.27)


def test_autocontrast_is_pils_between_any_two_levels():
    low, high = np.triu_indices(256)
    levels = np.clip(np.arange(256), low[:, None], high[:, None])
    scale = 255.0 / np.maximum(high - low, 1)[:, None]
    table = np.clip((levels * scale + -low[:, None] * scale).astype(int), 0, 255)  # in doubles
    ours = np.asarray(jax.jit(autocontrast_table)(jnp.int32(low), jnp.int32(high)))
    np.testing.assert_array_equal(ours, np.where((high > low)[:, None], table, levels))
    for pair in range(0, len(low), 997):
        image = Image.fromarray(levels[None, pair].astype(np.uint8))
        np.testing.assert_array_equal(ours[pair], np.asarray(ImageOps.autocontrast(image))[0])


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere PIL may round sums but once"
)
@pytest.mark.parametrize("name", ["Brightness", "Color", "Contrast", "Sharpness"])
def test_enhancements_are_pils_to_the_bit(name):
    image = noise(3)
    for magnitude_bin in (1, 3, 5, 7, 8, 30):
        strength = STRENGTHS[magnitude_bin, OPERATIONS.index(name)]
        for magnitude in (strength, -strength):
            ours = apply(jnp.float32(image), OPERATIONS.index(name), magnitude)
            np.testing.assert_array_equal(ours, by_pil(image, name, float(magnitude)))


def test_color_leaves_a_grey_image():
    image = jnp.float32(noise(1))
    np.testing.assert_array_equal(apply(image, OPERATIONS.index("Color"), 0.27), image)


def test_rand_augments_strengths_are_torchvisions():
    for place, name in enumerate(OPERATIONS):
        expected = table(name, HEIGHT, WIDTH)
        np.testing.assert_allclose(STRENGTHS[:, place], expected, rtol=1e-5, atol=1e-5)


def test_strengths_are_torchs_to_the_bit():
    with np.load(GOLDENS / "strengths.npz") as file:
        golden = dict(file)
    for height, width in ((28, 33), (32, 224)):
        strengths = rand_augment_strengths(height, width)
        names = {"TranslateX": str(width), "TranslateY": str(height)}
        names |= dict.fromkeys(("ShearX", "ShearY"), "Shear")
        names |= dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), "enhance")
        for ours, name in zip(strengths.T, OPERATIONS, strict=True):
            expected = golden.get(names.get(name, name), np.zeros(31))
            np.testing.assert_array_equal(ours, expected, name)
