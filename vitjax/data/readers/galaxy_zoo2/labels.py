"""The published label files of Galaxy Zoo 2: gz2_train.csv, gz2_valid.csv and gz2_test.csv."""

from pathlib import Path
from typing import NamedTuple

from vitjax.data.readers.csv import Row, read_rows
from vitjax.data.readers.downloads import manual_dir
from vitjax.errors import UserError

CLASS_NAMES = {
    "label1": (
        "Round Elliptical",
        "In-between Elliptical",
        "Cigar-shaped Elliptical",
        "Edge-on Spiral",
        "Barred Spiral",
        "Unbarred Spiral",
        "Irregular",
        "Merger",
    ),
    "label2": ("Elliptical", "Edge-on Spiral", "Face-on Spiral", "Irregular", "Merger"),
    "label3": ("Elliptical", "Spiral", "Irregular", "Merger"),
    "label4": ("Elliptical", "Spiral", "Irregular or Merger"),
}


class Galaxy(NamedTuple):
    """A line of a label file."""

    id: str  # galaxyID
    labels: tuple[int, ...]  # of label1 to label4


def find_labels(data_dir: Path, *others: Path | str) -> Path | None:
    """The folder of the label files: `data_dir`, TFDS's manual folder in it, or one of `others`."""
    places = (data_dir, manual_dir(data_dir / "downloads", "galaxy_zoo2"), *map(Path, others))
    return next((place for place in places if (place / "gz2_train.csv").is_file()), None)


def read_galaxies(folder: Path) -> dict[str, list[Galaxy]]:
    """Galaxies of the splits train, valid and test; a UserError names a line with a wrong label."""
    tables = {column: read_tables(str(folder), column) for column in CLASS_NAMES}
    galaxies = {}
    for split, rows in tables["label1"].items():
        columns = (_numbers(tables[column][split], column) for column in CLASS_NAMES)
        labels = zip(*columns, strict=True)
        galaxies[split] = [Galaxy(row.id, each) for row, each in zip(rows, labels, strict=True)]
    return galaxies


def read_tables(data_dir: str, column: str) -> dict[str, list[Row]]:
    """Lines of the label files by split; the id of each is its galaxyID."""
    tables = {}
    for split in ("train", "valid", "test"):
        file = Path(data_dir) / f"gz2_{split}.csv"
        if not file.is_file():
            raise UserError(f"there is no file {file}; change config.data.data_dir.")
        tables[split] = read_rows(file, "galaxyID", column)
    return tables


def _numbers(rows: list[Row], column: str) -> list[int]:
    known = {str(i): i for i in range(len(CLASS_NAMES[column]))}
    for row in rows:
        if row.label not in known:
            raise UserError(
                f"{row.where} has the label {row.label!r} in {column}, expected 0 to "
                f"{len(known) - 1}; correct or delete the line."
            )
    return [known[row.label] for row in rows]
