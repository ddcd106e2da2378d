"""The images of Galaxy Zoo 2: files in a folder, or the archive as it was downloaded."""

import csv
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from vitjax.errors import UserError
from vitjax.text import one_line

_FOLDERS = (".", "images", "images_gz2/images", "images_gz2")  # as the archives unpack
_ARCHIVES = ("images_gz2.zip", "galaxy-zoo-2-images.zip", "archive.zip")  # Zenodo's, Kaggle's
_MAPPING = "gz2_filename_mapping.csv"
_LAST = 355_990  # number of the last image that this file knows
_LAST_OF_CHALLENGE = 999_999
_GET_THEM = (
    "get them from Kaggle (jaimetrickz/galaxy-zoo-2-images) or Zenodo (record 3565489, "
    "images_gz2.zip) and set config.data.image_root to their folder or .zip"
)


def locate_images(root: Path) -> Path:
    """The folder or .zip of images that `root` is or holds; a UserError says where to get one."""
    if root.is_file():
        return root
    for place in (root / below for below in _FOLDERS):
        if place.is_dir():
            with os.scandir(place) as entries:
                if any(_number(entry.name) for entry in entries):
                    return place
    for archive in (root / name for name in _ARCHIVES):
        if archive.is_file():
            return archive
    raise UserError(
        f"there are no images of Galaxy Zoo 2 (GALAXYID.jpg) in {root}, in its folders "
        f"{', '.join(_FOLDERS[1:])}, nor one of {', '.join(_ARCHIVES)}; {_GET_THEM}."
    )


class Archive:
    """JPEG files that are called by a number.

    A galaxy is called by the number of its file, as in the published label files, or by its object
    in the Sloan survey's data release 7, where the archive's gz2_filename_mapping.csv is at hand.
    """

    def __init__(self, place: Path):
        self.place = place
        self._archive: zipfile.ZipFile | None = None
        if place.is_dir():
            names = os.listdir(place)
        else:
            try:
                self._archive = zipfile.ZipFile(place)
            except zipfile.BadZipFile as error:
                raise UserError(
                    f"{place} is no whole .zip file ({one_line(error)}); download it again, or "
                    "change config.data.image_root."
                ) from error
            names = self._archive.namelist()
        self._files = {number: name for name in names if (number := _number(name))}

    def find(self, galaxies: Iterable[str], beside: Path) -> dict[str, str]:
        """The files of those `galaxies` that have one; raises UserError if none does.

        The mapping is looked for in `beside`, with the images and in the two folders above them.
        """
        galaxies = list(galaxies)
        found = {id: self._files[id] for id in galaxies if id in self._files}
        if len(found) < len(galaxies):
            objects = _read_mapping((beside, self.place, *self.place.parents[:2]))
            for id in galaxies:
                numbers = (number for number in objects.get(id, ()) if number in self._files)
                if (number := next(numbers, None)) and id not in found:
                    found[id] = self._files[number]
        if not found:
            raise UserError(
                f"none of the {len(galaxies):,} listed galaxies has an image in {self.place} "
                f"({next(iter(galaxies))}.jpg, ...); {_GET_THEM}."
            )
        self._refuse_challenge(found)
        return found

    def _refuse_challenge(self, found: dict[str, str]) -> None:
        """Raises UserError for the images of a contest, whose random numbers are others' too."""
        if any(_LAST < int(id) <= _LAST_OF_CHALLENGE for id in found if id.isdecimal()):
            return  # label files of their own
        other = next((n for n in self._files if _LAST < int(n) <= _LAST_OF_CHALLENGE), None)
        if other:
            raise UserError(
                f"{self.place} holds {other}.jpg, so it is another archive, as that of Kaggle's "
                f"Galaxy Zoo Challenge: its numbers mean other galaxies; {_GET_THEM}."
            )

    def read(self, file: str) -> bytes:
        """The content of a file that `find` gave, as it is."""
        if self._archive is None:
            return (self.place / file).read_bytes()
        try:
            return self._archive.read(file)
        except (zipfile.BadZipFile, EOFError) as error:
            raise UserError(
                f"{file} in {self.place} is damaged ({one_line(error)}); download it again."
            ) from error


def _number(name: str) -> str:
    """The number that an image file, in whatever folder, is called by; "" for another file."""
    path = PurePosixPath(name)
    return path.stem if path.suffix == ".jpg" and path.stem.isdecimal() else ""


def _read_mapping(places: Iterable[Path]) -> dict[str, list[str]]:
    """Numbers of the images of each object, by the first mapping file in `places`."""
    numbers: dict[str, list[str]] = {}
    file = next((place / _MAPPING for place in places if (place / _MAPPING).is_file()), None)
    if file:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            for row in csv.DictReader(lines):
                if row.keys() >= {"objid", "asset_id"}:
                    numbers.setdefault(row["objid"], []).append(row["asset_id"])
    return numbers
