"""From image files and arrays to the uint8 images of each split."""

import concurrent.futures
import dataclasses
import hashlib
import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from vitjax.data.dataset import Dataset, Split
from vitjax.data.images import Images, StoredImages
from vitjax.data.readers.pixels import (
    GRAY_MODES,
    fewer_bits,
    header,
    open_image,
    to_array,
    why_unreadable,
)
from vitjax.errors import UserError
from vitjax.machine.host import available_memory, num_cores


class Files(NamedTuple):
    """Image files of one split."""

    paths: list[str]
    labels: list[int]
    ids: list[str]  # what to call each, wherever the folder lies


Listing = dict[str, Files]  # by split
_LOOKED_AT = 32  # images, for whether their 16 bits are used


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """How many images are read, and what each is made to; None keeps what the data has."""

    size: int | None = None  # pixels, square
    channels: int | None = None  # 1 (gray) or 3 (RGB)
    fit: str = "resize"  # "resize", or "center_crop": no scaling, zeros where the image is smaller
    max_examples: int | None = None  # of each split
    decode_up_to: int | None = None  # bytes of a set that is decoded at once; None: of any size
    # False: lists files that are not there too. Not in the text that names what was read with it.
    must_exist: bool = dataclasses.field(default=True, repr=False)

    def __post_init__(self):
        if self.size is not None and self.size < 1:
            raise UserError(
                f"image_size={self.size} given, expected None or a positive number of pixels; "
                "change config.data.image_size."
            )
        if self.channels not in (None, 1, 3):
            raise UserError(
                f"channels={self.channels} given, expected None, 1 or 3; "
                "change config.data.channels."
            )
        if self.fit not in ("resize", "center_crop"):
            raise UserError(
                f"fit={self.fit!r} given, expected 'resize' or 'center_crop'; "
                "change config.data.fit."
            )
        if self.max_examples is not None and self.max_examples < 1:
            raise UserError(
                f"max_examples={self.max_examples} given, expected None or a positive number; "
                "change config.data.max_examples."
            )

    def decodes(self, num_images: int, shape: Sequence[int]) -> bool:
        """Whether images [H, W, C] are decoded when the set is read, not when they are used."""
        return self.decode_up_to is None or num_images * math.prod(shape) <= self.decode_up_to


class Wanted(NamedTuple):
    """What a reader is asked for; it takes of it what it needs."""

    name: str  # of the data set
    data_dir: str | None = None  # None: not given
    image_root: str | None = None
    label_column: str = "label"
    options: ReadOptions = ReadOptions()
    on_status: Callable[[str], None] = print  # gets a line for each thing that takes time
    valid_fraction: float = 0.0  # of train, that will be copied where there is no such split


def check_memory(
    what: str, count: int, height: int, width: int, channels: int, *, can_stream: bool = True
) -> None:
    """Raises a UserError if so many decoded images exceed the memory that is available.

    Those that `can_stream` are read from files; arrays are in memory as they are.
    """
    needed = count * height * width * channels
    available = available_memory()
    if available is not None and needed > available:
        fits = int((available / 2 / (count * channels)) ** 0.5)
        instead = "stream to auto" if can_stream else "input_size, for the device to enlarge them"
        raise UserError(
            f"{what} decodes to {needed / 1e9:.1f} GB ({count:,} images of "
            f"{height}x{width}x{channels}), but {available / 1e9:.1f} GB of memory is available; "
            f"set config.data.{instead}, or config.data.image_size to "
            f"{max(fits, 1)} or smaller."
        )


def convert(dataset: Dataset, options: ReadOptions) -> Dataset:
    """Applies `options` to a set, each split of images [N, H, W, C] that are in memory.

    With `options.channels`, four channels are red, green, blue and opacity.
    """
    largest = max(map(len, dataset.splits.values()))
    if options.max_examples and largest > options.max_examples:
        taken = {name: s.take(thin(len(s), options)) for name, s in dataset.splits.items()}
        dataset = dataclasses.replace(dataset, splits=taken)
    changed = [split for split in dataset.splits.values() if _is_changed(split, options)]
    if changed:
        new_shape = _converted(changed[0], options)
        check_memory(dataset.name, sum(map(len, changed)), *new_shape, can_stream=False)
    splits = {name: _convert(split, options) for name, split in dataset.splits.items()}
    return dataclasses.replace(dataset, splits=splits)


def _converted(split: Split, options: ReadOptions) -> tuple[int, ...]:
    """Returns the shape [H, W, C] that `options` give to the images of a split."""
    height, width, channels = split.images.shape[1:]
    return (options.size or height, options.size or width, options.channels or channels)


def _is_changed(split: Split, options: ReadOptions) -> bool:
    """Whether `options` change a split's images; they cannot where nobody knows the channels."""
    shape = _converted(split, options)
    known = split.images.shape[-1] in (1, 3, 4) and shape[-1] in (1, 3)
    return known and split.images.shape[1:] != shape


def _convert(split: Split, options: ReadOptions) -> Split:
    """Applies `options` to the images of a split, where they change them."""
    from PIL import Image

    if not _is_changed(split, options):
        return split
    shape = _converted(split, options)
    images = np.empty((len(split), *shape), np.uint8)
    for i, pixels in enumerate(split.images[:]):
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
        images[i] = to_array(image, options.size, shape[-1], options.fit)
    return dataclasses.replace(split, images=images)


def read_files(
    name: str,
    class_names: tuple[str, ...],
    listing: Listing,
    options: ReadOptions,
    on_status: Callable[[str], None],
) -> Dataset:
    """Decodes all files of `listing`, in its order; a UserError names the unreadable ones.

    Those that `options` does not decode at once stay files, read when they are asked for.
    """
    listing = {split: _thinned(files, options) for split, files in listing.items()}
    paths = [path for files in listing.values() for path in files.paths]
    some = thin(len(paths), ReadOptions(max_examples=_LOOKED_AT))
    if few := fewer_bits([paths[i] for i in some]):
        on_status(few)
    splits, damaged = {}, []
    with concurrent.futures.ThreadPoolExecutor(min(8, num_cores())) as pool:
        shape = _common_shape(paths, options, pool)
        decodes = options.decodes(len(paths), shape)
        if decodes:
            check_memory(name, len(paths), *shape)
        for split_name, files in listing.items():
            images: Images = FileImages(files.paths, shape, options)
            if decodes:
                on_status(f"reading {name}/{split_name}: {len(files.paths):,} images")
                images = np.empty(images.shape, np.uint8)
                damaged += _decode_into(images, files.paths, options, pool)
            labels, ids = np.array(files.labels, np.int32), np.array(files.ids, str)
            splits[split_name] = Split(images, labels, ids)
    if damaged:
        raise _damaged_error(damaged)
    return Dataset(name, class_names, splits)


class FileImages(StoredImages):
    """Image files that are decoded when they are asked for."""

    def __init__(self, paths: Sequence[str], image_shape: Sequence[int], options: ReadOptions):
        super().__init__((len(paths), *image_shape))
        self._paths, self._options = np.array(paths, str), options

    def read(self, index: np.ndarray) -> np.ndarray:
        """Decodes files; a UserError names the unreadable ones."""
        images, paths = np.empty((len(index), *self.shape[1:]), np.uint8), self._paths[index]
        reasons = [_decode(images[i : i + 1], p, self._options) for i, p in enumerate(paths)]
        damaged = [(path, why) for path, why in zip(paths, reasons, strict=True) if why]
        if damaged:
            raise _damaged_error(damaged)
        return images

    def files(self, index: np.ndarray) -> list[str]:
        """The paths at `index`."""
        return self._paths[index].tolist()

    def fingerprint(self) -> str:
        """Of the paths, sizes and times of the files."""
        digest = hashlib.sha256()
        for path in self._paths:
            stat = os.stat(path)
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "replace"))
        return digest.hexdigest()


def thin(count: int, options: ReadOptions) -> np.ndarray:
    """Which of `count` examples to read: all, or `max_examples` evenly spread ones."""
    return np.linspace(0, count - 1, min(count, options.max_examples or count)).astype(int)


def _thinned(files: Files, options: ReadOptions) -> Files:
    chosen = thin(len(files.paths), options)
    return Files(*([column[i] for i in chosen] for column in files))


def _common_shape(
    paths: list[str], options: ReadOptions, pool: concurrent.futures.Executor
) -> tuple[int, int, int]:
    """Height, width, channels that all files get, from their headers where `options` leaves it."""
    if options.size is not None and options.channels is not None:
        return options.size, options.size, options.channels
    headers = list(pool.map(header, paths))
    readable = [(path, header) for path, header in zip(paths, headers, strict=True) if header]
    if not readable:
        raise _damaged_error([(path, "no image") for path in paths])
    first_path, (first_size, _) = readable[0]
    width, height = (options.size, options.size) if options.size is not None else first_size
    if options.size is None:
        for path, (size, _) in readable:
            if size != first_size:
                raise UserError(
                    f"images differ in size: {first_path} has {first_size[0]}x{first_size[1]} "
                    f"pixels and {path} has {size[0]}x{size[1]}; set config.data.image_size."
                )
    all_gray = all(mode in GRAY_MODES for _, (_, mode) in readable)
    return height, width, options.channels or (1 if all_gray else 3)


def _decode_into(
    images: np.ndarray, paths: list[str], options: ReadOptions, pool: concurrent.futures.Executor
) -> list[tuple[str, str]]:
    """Fills `images`, whose shape is already known; returns (path, reason) of those that failed."""
    each = (images[i : i + 1] for i in range(len(paths)))
    reasons = pool.map(_decode, each, paths, itertools.repeat(options))
    return [(path, reason) for path, reason in zip(paths, reasons, strict=True) if reason]


def _decode(images: np.ndarray, path: str, options: ReadOptions) -> str | None:
    """Fills `images` [1, H, W, C] from a file; returns why not where that fails."""

    try:
        with open_image(path) as image:
            images[0] = to_array(image, options.size, images.shape[-1], options.fit)
    except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
        return why_unreadable(error)
    return None


def _damaged_error(damaged: list[tuple[str, str]]) -> UserError:
    reasons = (f"{path} ({reason})" for path, reason in damaged[:10])
    more = f", and {len(damaged) - 10:,} more" if len(damaged) > 10 else ""
    return UserError(
        f"cannot read {len(damaged):,} image files: {', '.join(reasons)}{more}; "
        "delete them or replace them by good copies, then start again."
    )
