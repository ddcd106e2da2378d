"""Images in the records of a prepared data set, serialised with their labels."""

import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from vitjax.data.images import StoredImages
from vitjax.data.readers.image_files import ReadOptions
from vitjax.data.readers.pixels import open_image, to_array
from vitjax.data.readers.png import decode_stack
from vitjax.errors import UserError
from vitjax.machine.host import num_cores
from vitjax.text import one_line

SLICE = 1024  # records in memory at a time
_SLICE_PIXELS = 2**24  # pixels decoded at a time; PIL warns at five times as many

Parse = Callable[[bytes], tuple[bytes, int, str]]  # a record -> its image file, label, id or ""


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
        chosen: np.ndarray,
        image_shape: Sequence[int],
        *,
        parse: Parse,
        options: ReadOptions,
        where: str,
        paths: Sequence[str],
    ):
        """The `chosen` of the records of `source`, whose files are `paths`.

        `where` is for errors.
        """
        super().__init__((len(chosen), *image_shape))
        self._source, self._chosen, self._parse, self._options = source, chosen, parse, options
        self._where, self._paths = where, list(paths)

    def read(self, index: np.ndarray) -> np.ndarray:
        """Decodes records; a UserError names one that is damaged."""
        files, _, ids = self._parsed(index)
        return self._decoded(files, ids, index)

    def files(self, index: np.ndarray) -> list[io.BytesIO]:
        """The image files in the records at `index`; a UserError names a damaged record."""
        return list(map(io.BytesIO, self._parsed(index)[0]))

    def fingerprint(self) -> str:
        """Of the paths, sizes and times of the files that hold the records, and of those chosen."""
        stats = [(path, os.stat(path)) for path in self._paths]
        text = str([(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats])
        chosen = self._chosen.astype("<i8").tobytes()
        return hashlib.sha256(text.encode("utf-8", "replace") + chosen).hexdigest()

    def labels_and_ids(self) -> tuple[np.ndarray, list[str]]:
        """Returns all labels, int32 [N], and ids, "" where there is none, without the images."""
        labels, ids = np.empty(len(self), np.int32), [""] * len(self)
        for part in self._parts(SLICE):
            _, labels[part], ids[part] = self._parsed(np.arange(part.start, part.stop))
        return labels, ids

    def decoded(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Returns all images [N, H, W, C], labels [N] and ids, decoded by a thread a core."""
        images, labels = np.empty(self.shape, np.uint8), np.empty(len(self), np.int32)
        ids = [""] * len(self)

        def fill(part: slice) -> None:
            """Decodes a part of the images into its place."""
            index = np.arange(part.start, part.stop)
            files, labels[part], ids[part] = self._parsed(index)
            images[part] = self._decoded(files, ids[part], index)

        size = max(1, min(SLICE, _SLICE_PIXELS // (self.shape[1] * self.shape[2])))
        with ThreadPoolExecutor(num_cores()) as pool:
            for _ in pool.map(fill, self._parts(size)):
                pass  # raises the first error
        return images, labels, ids

    def _parts(self, size: int) -> list[slice]:
        return [slice(i, min(i + size, len(self))) for i in range(0, len(self), size)]

    def _decoded(self, files: list[bytes], ids: list[str], index: np.ndarray) -> np.ndarray:
        """Returns the images [B, H, W, C] in files, whose ids and indices are for errors."""
        try:
            return decode_stack(files, *self.shape[1:])
        except (ValueError, OSError, zlib.error):  # JPEG, another size, or damaged
            images = np.empty((len(index), *self.shape[1:]), np.uint8)
            for i, error in decode_one_by_one(images, files, self._options):
                called = ids[i] or self._chosen[index[i]]
                if isinstance(error, UserError):
                    raise UserError(f"example {called} of {self._where} {error}") from error
                raise self._damaged(called, error) from error
            return images

    def _parsed(self, index: np.ndarray) -> tuple[list[bytes], list[int], list[str]]:
        """Returns the files, labels and ids at `index`."""
        parsed = []
        try:
            records = self._source.__getitems__(self._chosen[index].tolist())
        except (OSError, RuntimeError, ValueError) as error:  # the last is pyarrow's
            raise UserError(
                f"cannot read {self._where} ({one_line(error)}); remove its folder to prepare the "
                "set again, or change config.data.data_dir."
            ) from error
        for i, record in zip(index, records, strict=True):
            try:
                parsed.append(self._parse(record))
            except Exception as error:  # protobuf and numpy each have their own
                raise self._damaged(self._chosen[i], error) from error
        files, labels = [file for file, _, _ in parsed], [label for _, label, _ in parsed]
        return files, labels, [id for _, _, id in parsed]

    def _damaged(self, index: Any, error: Exception) -> UserError:
        return UserError(
            f"example {index} of {self._where} is damaged ({one_line(error)}); remove its folder "
            "to prepare the set again, or change config.data.data_dir."
        )


def decode_one_by_one(
    images: np.ndarray, files: Sequence[bytes], options: ReadOptions
) -> Iterator[tuple[int, Exception]]:
    """Fills `images` [B, H, W, C] from files of any kind that PIL opens; yields what fails."""

    for i, file in enumerate(files):
        try:
            with open_image(io.BytesIO(file)) as image:
                pixels = to_array(image, options.size, images.shape[-1], options.fit)
            if pixels.shape != images.shape[1:]:  # an EXIF orientation, which TFDS does not follow
                height, width = pixels.shape[:2]
                raise UserError(
                    f"has {width}x{height} pixels as its EXIF data turn it, and the set says "
                    f"{images.shape[2]}x{images.shape[1]}; set config.data.image_size"
                )
            images[i] = pixels
        except Exception as error:  # damaged files raise many types (OSError, SyntaxError, ...)
            yield i, error
