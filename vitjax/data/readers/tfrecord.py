"""Reads TFRecord files without TensorFlow."""

import os
import struct
from collections.abc import Sequence
from typing import IO

import google_crc32c
import numpy as np

from vitjax.errors import UserError


class TfRecords:
    """Records of files: each is its length (8 bytes), its checksum (4), data, its checksum (4)."""

    def __init__(self, paths: Sequence[str]):
        """Finds where the records begin; UserError for a file that is cut or damaged there."""
        self._paths = list(paths)
        places = [(i, *place) for i, path in enumerate(paths) for place in _places(path)]
        self._places = np.array(places, np.int64).reshape(-1, 3)  # file, offset, length

    def __len__(self) -> int:
        return len(self._places)

    def __getitems__(self, indices: Sequence[int]) -> list[bytes]:
        """Returns the records at `indices`; raises OSError where one is damaged."""
        records = {}
        order = sorted(indices)  # by file
        for number in dict.fromkeys(self._places[order, 0].tolist()):
            with open(self._paths[number], "rb") as file:
                for index in order:
                    if self._places[index, 0] == number:
                        file.seek(self._places[index, 1])
                        records[index] = _checked(file, self._places[index, 2])
        return [records[index] for index in indices]


def _places(path: str) -> list[tuple[int, int]]:
    """Returns offset and length of each record's data in a file."""
    found, size, offset = [], os.path.getsize(path), 0
    with open(path, "rb") as file:
        while header := file.read(12):
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else size
            if len(header) == 12 and not _is_whole(header[:8], header[8:]):
                raise _damaged(path, "has a damaged record")
            found.append((offset + 12, length))
            offset += 12 + length + 4
            if offset > size:
                raise _damaged(path, "ends in the middle of a record")
            file.seek(offset)
    return found


def _checked(file: IO[bytes], length: int) -> bytes:
    data = file.read(length)
    if not _is_whole(data, file.read(4)):
        raise OSError(f"a record of {file.name} differs from its checksum")
    return data


def _is_whole(data: bytes, stored: bytes) -> bool:
    """Whether data have the stored CRC-32C, which is masked: turned by 15 bits, and added to."""
    checksum = google_crc32c.value(data)
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32
    return stored == masked.to_bytes(4, "little")


def _damaged(path: str, what: str) -> UserError:
    return UserError(
        f"{path} {what}; remove its folder to prepare the set again, or change "
        "config.data.data_dir."
    )
