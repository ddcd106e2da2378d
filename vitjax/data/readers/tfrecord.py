"""Reads TFRecord files without TensorFlow."""

import os
import struct
from collections.abc import Sequence

import numpy as np

from vitjax.errors import UserError


class TfRecords:
    """Records of files: each is its length (8 bytes), its checksum (4), data, its checksum (4).

    The checksums (CRC-32C) are not verified: Python has none, and PNG and JPEG carry their own.
    """

    def __init__(self, paths: Sequence[str]):
        """Finds where the records begin; UserError for a file that ends inside one."""
        self._paths = list(paths)
        places = [(i, *place) for i, path in enumerate(paths) for place in _places(path)]
        self._places = np.array(places, np.int64).reshape(-1, 3)  # file, offset, length

    def __len__(self) -> int:
        return len(self._places)

    def __getitems__(self, indices: Sequence[int]) -> list[bytes]:
        """Returns the records at `indices`."""
        records = {}
        order = sorted(indices)  # by file
        for number in dict.fromkeys(self._places[order, 0].tolist()):
            with open(self._paths[number], "rb") as file:
                for index in order:
                    if self._places[index, 0] == number:
                        file.seek(self._places[index, 1])
                        records[index] = file.read(self._places[index, 2])
        return [records[index] for index in indices]


def _places(path: str) -> list[tuple[int, int]]:
    """Returns offset and length of each record's data in a file."""
    found, size, offset = [], os.path.getsize(path), 0
    with open(path, "rb") as file:
        while header := file.read(12):
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else size
            found.append((offset + 12, length))
            offset += 12 + length + 4
            if offset > size:
                raise UserError(
                    f"{path} ends in the middle of a record; remove its folder to prepare the set "
                    "again, or change config.data.data_dir."
                )
            file.seek(offset)
    return found
