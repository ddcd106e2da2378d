"""Reads TFRecord files without TensorFlow."""

import struct
from collections.abc import Iterator

from vitjax.errors import UserError


def read_records(path: str) -> Iterator[bytes]:
    """Records of a file: length (8 bytes), its checksum (4), data, its checksum (4).

    The checksums (CRC-32C) are not verified: Python has none, and PNG and JPEG carry their own.
    A file that ends inside a record raises a UserError.
    """
    with open(path, "rb") as file:
        while header := file.read(12):
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
            record, checksum = file.read(length), file.read(4)
            if len(checksum) != 4:
                raise UserError(
                    f"{path} ends in the middle of a record; remove its folder to prepare the set "
                    "again, or change config.data.data_dir."
                )
            yield record
