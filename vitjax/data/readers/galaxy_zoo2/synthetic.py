"""Draws galaxies of eight kinds, with label files in the format of Galaxy Zoo 2.

A folder gets images/GALAXYID.jpg (RGB, 424x424 pixels) and gz2_train.csv, gz2_valid.csv and
gz2_test.csv with all four label columns, in the shares of the published ones: of the splits, and of
the classes. What is drawn is made up; it stands in for the photographs where they are not at hand.
"""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 424  # pixels of an image
SHARES = {"train": 0.64, "valid": 0.16, "test": 0.20}
CLASSES = (33898, 39200, 7414, 16349, 20407, 30657, 5925, 2101)  # published galaxies of each label1
MERGED = ((0, 0, 0, 1, 2, 2, 3, 4), (0, 0, 0, 1, 1, 1, 2, 3), (0, 0, 0, 1, 1, 1, 2, 2))
LAST_ID = 295_305  # largest galaxyID of the published files

_WINDOW = 224  # pixels in the middle that a galaxy is drawn in
_OLD, _YOUNG, _PINK = ((1.0, 0.80, 0.56), (0.66, 0.80, 1.0), (1.0, 0.60, 0.72))  # colours of stars

Array = np.ndarray


def write(folder: Path, count: int, seed: int = 0) -> None:
    """Writes `count` galaxies and their label files; the same for the same (count, seed)."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    ids = rng.choice(np.arange(5, LAST_ID + 1), count, replace=False)
    sky = sky_of(rng)
    done = 0
    for split, labels in labels_of(count, rng).items():
        lines = ["galaxyID,label1,label2,label3,label4"]
        for label in labels:
            name = ids[done]
            image = Image.fromarray(draw(label, rng, sky))
            image.save(folder / "images" / f"{name}.jpg", quality=85)
            lines.append(",".join(map(str, (name, label, *(column[label] for column in MERGED)))))
            done += 1
        (folder / f"gz2_{split}.csv").write_text("\n".join(lines) + "\n")


def labels_of(count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Labels of each split in random order, each class in its published share but one at least."""
    sizes = {split: round(count * share) for split, share in SHARES.items()}
    sizes["train"] += count - sum(sizes.values())
    labels = {}
    for split, size in sizes.items():
        counts = [max(1, round(size * galaxies / sum(CLASSES))) for galaxies in CLASSES]
        counts[1] += size - sum(counts)  # the largest class takes what rounding leaves
        if counts[1] < 1:
            raise ValueError(f"count={count} is too small for eight classes in three splits")
        labels[split] = rng.permutation(np.repeat(range(len(CLASSES)), counts))
    return labels


def draw(label: int, rng: np.random.Generator, sky: Array) -> Array:
    """A galaxy of class `label` in front of a part of `sky` -> uint8 [424, 424, 3]."""
    top, left = rng.integers(0, len(sky) - SIDE + 1, 2)
    light = sky[top : top + SIDE, left : left + SIDE] * rng.uniform(0.7, 1.4)
    for _ in range(rng.poisson(6)):
        _add_star(light, rng)
    middle = slice((SIDE - _WINDOW) // 2, (SIDE + _WINDOW) // 2)
    light[middle, middle] += _DRAWN_BY[label](rng) * rng.uniform(0.6, 1.3)
    return _TONES[np.clip(light * 1000, 0, len(_TONES) - 1).astype(np.uint16)]


# What a camera makes of light: the faint is lifted, the bright held back.
_TONES = (255 * np.arcsinh(np.arange(1001) / 60) / np.arcsinh(1000 / 60)).astype(np.uint8)


def sky_of(rng: np.random.Generator) -> Array:
    """Noise of a dark sky, float32 [848, 848, 3]: every image gets another part of it."""
    grain = rng.standard_normal((2 * SIDE, 2 * SIDE, 3), np.float32)
    grain = grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1)  # reaches over pixels, as in JPEGs
    return 0.006 + 0.0022 * grain


def _add_star(light: Array, rng: np.random.Generator) -> None:
    """Adds a star, or what is too far away to have a shape, anywhere."""
    reach = 9
    y, x = rng.integers(reach, SIDE - reach, 2)
    profile = _bell(np.arange(-reach, reach + 1, dtype=np.float32), rng.uniform(1.2, 2.2))
    bright = min(0.03 + 0.04 * rng.pareto(1.2), 1.5)
    colour = bright * rng.uniform(0.6, 1.0, 3).astype(np.float32)
    spot = np.outer(profile, profile)[..., None] * colour
    light[y - reach : y + reach + 1, x - reach : x + reach + 1] += spot


def _axis() -> Array:
    return np.arange(_WINDOW, dtype=np.float32) - _WINDOW / 2


def _plane(rng: np.random.Generator, flat: float) -> tuple[Array, Array]:
    """Coordinates x, y [W, W] of a galaxy turned at random, with y stretched by 1 / `flat`."""
    angle = rng.uniform(0, np.pi)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    across, down = (_axis() - rng.normal(0, 2.5) for _ in range(2))
    return cos * across + sin * down[:, None], (cos * down[:, None] - sin * across) / flat


def _bell(x: Array, width: float) -> Array:
    return np.exp(-(x**2) / (2 * width**2))


def _sersic(radius: Array, half: float, index: float) -> Array:
    """Light by Sersic's law, with half of it within the radius `half`: 1 near the middle."""
    b = 2 * index - 1 / 3
    return np.exp(-b * ((radius / half + 0.03) ** (1 / index) - 0.1 ** (1 / index)))


def _paint(*layers: tuple[Array, tuple[float, ...]]) -> Array:
    """Layers of light [W, W], each with its colour -> [W, W, 3]."""
    lights, colours = zip(*layers, strict=True)
    return np.stack(lights, axis=-1) @ np.array(colours, np.float32)


def _mixed(share: float) -> tuple[float, ...]:
    """The colour of stars of which `share` are old."""
    return tuple(a + share * (b - a) for a, b in zip(_YOUNG, _OLD, strict=True))


def _elliptical(rng: np.random.Generator, flat: float) -> Array:
    x, y = _plane(rng, flat)
    half = rng.uniform(14, 26) / flat**0.5
    return _paint((0.7 * _sersic(np.hypot(x, y), half, rng.uniform(1.6, 3.0)), _OLD))


def _round(rng: np.random.Generator) -> Array:
    return _elliptical(rng, rng.uniform(0.88, 1.0))


def _in_between(rng: np.random.Generator) -> Array:
    return _elliptical(rng, rng.uniform(0.5, 0.68))


def _cigar(rng: np.random.Generator) -> Array:
    return _elliptical(rng, rng.uniform(0.22, 0.32))


def _edge_on(rng: np.random.Generator) -> Array:
    """A thin disk from its side: a bulge in the middle, a lane of dust along it."""
    x, y = _plane(rng, 1.0)
    length, height = rng.uniform(22, 32), rng.uniform(2.5, 4.5)
    dust = 1 - 0.75 * _bell(y, 0.4 * height) * (np.abs(x) < 2.2 * length)
    disk = np.exp(-((x / (1.6 * length)) ** 2) - np.abs(y) / height)
    bulge = np.exp(-np.hypot(x, 1.3 * y) / rng.uniform(4, 8))
    return _paint((0.7 * disk * dust, _mixed(rng.uniform(0.1, 0.6))), (0.7 * bulge * dust, _OLD))


def _spiral(rng: np.random.Generator, bar: float) -> Array:
    """A disk with arms; `bar` is the half length of a bar that they start from, or 0."""
    x, y = _plane(rng, rng.uniform(0.6, 1.0))
    radius = np.hypot(x, y)
    scale, arms = rng.uniform(17, 26), 2 if bar else int(rng.integers(2, 5))
    start, wind = bar or 7.0, float(rng.choice([-1, 1])) * rng.uniform(2.4, 3.8)
    phase = np.arctan2(y, x) + wind * np.log((radius + 1) / start)
    ridge = np.exp(3.5 * (np.cos(arms * phase) - 1)) / (1 + np.exp((start - radius) / 3))
    disk = np.exp(-radius / scale)
    layers = [
        (disk * (0.16 + 0.9 * ridge), _YOUNG),
        (0.7 * np.exp(-radius / (5 if bar else 7)) + 0.12 * disk, _OLD),
    ]
    if bar:
        beam = (np.abs(x) / bar) ** 3 + (np.abs(y) / (0.26 * bar)) ** 2
        layers.append((0.45 * np.exp(-beam), _OLD))
    return _paint(*layers)


def _barred(rng: np.random.Generator) -> Array:
    return _spiral(rng, rng.uniform(20, 30))


def _unbarred(rng: np.random.Generator) -> Array:
    return _spiral(rng, 0.0)


def _irregular(rng: np.random.Generator) -> Array:
    """Young clumps of any size, without a centre."""
    x, y = _plane(rng, rng.uniform(0.5, 0.9))
    layers = [(0.10 * np.exp(-np.hypot(x, y) / rng.uniform(16, 26)), _YOUNG)]
    turn = rng.uniform(0, np.pi)
    for _ in range(rng.integers(5, 11)):
        along, beside = rng.normal(0, 24), rng.normal(0, 11)
        at_x = along * float(np.cos(turn)) - beside * float(np.sin(turn))
        at_y = along * float(np.sin(turn)) + beside * float(np.cos(turn))
        size = rng.uniform(3, 12)
        clump = np.outer(_bell(_axis() - at_y, size), _bell(_axis() - at_x, size))
        layers.append((rng.uniform(0.08, 0.35) * clump, _PINK if rng.random() < 0.25 else _YOUNG))
    return _paint(*layers)


def _merger(rng: np.random.Generator) -> Array:
    """Two galaxies that touch, with tails that are torn out of them."""
    x, y = _plane(rng, rng.uniform(0.8, 1.0))
    apart = rng.uniform(15, 28)
    layers = [(0.12 * np.exp(-np.hypot(x, 1.3 * y) / 26), _mixed(0.5))]
    for side in (-1, 1):
        away = side * x - apart  # from this one's centre, outwards
        radius = np.hypot(away, (y - rng.normal(0, 4)) / rng.uniform(0.5, 0.9))
        body = rng.uniform(0.3, 0.6) * _sersic(radius, rng.uniform(9, 17), 1.6)
        layers.append((body, _mixed(rng.uniform(0.4, 1.0))))
        bend = side * y - rng.uniform(0.006, 0.013) * np.maximum(away, 0) ** 2
        tail = _bell(bend, rng.uniform(4, 7)) * np.exp(-np.abs(away) / np.where(away > 0, 30, 5))
        layers.append((0.3 * tail, _YOUNG))
    return _paint(*layers)


_DRAWN_BY = (_round, _in_between, _cigar, _edge_on, _barred, _unbarred, _irregular, _merger)
