"""Images in the records of a prepared data set, serialised with their labels."""

import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from vitjax.data.image_files import ReadOptions, to_array
from vitjax.data.images import StoredImages
from vitjax.data.png import decode_stack
from vitjax.errors import UserError
from vitjax.text import one_line

SLICE = 1024  # records in memory at a time
_SLICE_PIXELS = 2**24  # pixels decoded at a time; PIL warns at five times as many

Parse = Callable[[bytes], tuple[bytes, int]]  # a record -> its image file, its label


class Source(Protocol):
    """Records by number."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Sequence[bytes]:
        """Returns the records at `indices`."""


class RecordImages(StoredImages):
    """Images of records, decoded when they are asked for."""

    def __init__(
        self,
        source: Source,
        count: int,
        image_shape: Sequence[int],
        *,
        parse: Parse,
        options: ReadOptions,
        where: str,
        paths: Sequence[str],
    ):
        """The first `count` records of `source`, whose files are `paths`; `where` is for errors."""
        super().__init__((count, *image_shape))
        self._source, self._parse, self._options = source, parse, options
        self._where, self._paths = where, list(paths)

    def read(self, index: np.ndarray) -> np.ndarray:
        """Decodes records; a UserError names one that is damaged."""
        return self.with_labels(index)[0]

    def fingerprint(self) -> str:
        """Of the paths, sizes and times of the files that hold the records."""
        stats = [(path, os.stat(path)) for path in self._paths]
        text = str([(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats])
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    def labels(self) -> np.ndarray:
        """Returns all labels, int32 [N], without decoding the images."""
        found = np.empty(len(self), np.int32)
        for start in range(0, len(self), SLICE):
            index = np.arange(start, min(start + SLICE, len(self)))
            found[index] = self._parsed(index)[1]
        return found

    def all_with_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns all images [N, H, W, C] and labels [N]."""
        images, labels = np.empty(self.shape, np.uint8), np.empty(len(self), np.int32)
        size = max(1, min(SLICE, _SLICE_PIXELS // (self.shape[1] * self.shape[2])))
        for start in range(0, len(self), size):
            index = np.arange(start, min(start + size, len(self)))
            images[index], labels[index] = self.with_labels(index)
        return images, labels

    def with_labels(self, index: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """Returns the images [B, H, W, C] and the labels [B] at `index`."""
        files, labels = self._parsed(index)
        try:
            return decode_stack(files, *self.shape[1:]), labels
        except (ValueError, OSError, zlib.error):  # JPEG, another size, or damaged
            images = np.empty((len(index), *self.shape[1:]), np.uint8)
            for i, error in decode_one_by_one(images, files, self._options):
                raise self._damaged(index[i], error) from error
            return images, labels

    def _parsed(self, index: np.ndarray) -> tuple[list[bytes], list[int]]:
        """Returns the files and labels at `index`."""
        files, labels = [], []
        try:
            records = self._source.__getitems__(index.tolist())
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"cannot read {self._where} ({one_line(error)}); remove its folder to prepare the "
                "set again, or change config.data.data_dir."
            ) from error
        for i, record in zip(index, records, strict=True):
            try:
                file, label = self._parse(record)
            except Exception as error:  # protobuf and numpy each have their own
                raise self._damaged(i, error) from error
            files.append(file)
            labels.append(label)
        return files, labels

    def _damaged(self, index: Any, error: Exception) -> UserError:
        return UserError(
            f"example {index} of {self._where} is damaged ({one_line(error)}); remove its folder "
            "to prepare the set again, or change config.data.data_dir."
        )


def decode_one_by_one(
    images: np.ndarray, files: Sequence[bytes], options: ReadOptions
) -> Iterator[tuple[int, Exception]]:
    """Fills `images` [B, H, W, C] from files of any kind that PIL opens; yields what fails."""
    from PIL import Image

    for i, file in enumerate(files):
        try:
            with Image.open(io.BytesIO(file)) as image:
                images[i] = to_array(image, options.size, images.shape[-1], options.fit)
        except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
            yield i, error
