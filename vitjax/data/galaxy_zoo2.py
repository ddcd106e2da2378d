"""Galaxy Zoo 2: galaxies by shape, in the fixed splits of published label files."""

import os
from collections.abc import Callable
from pathlib import Path

from vitjax.data.csv import Row, read_rows, to_listing
from vitjax.data.dataset import Dataset
from vitjax.data.image_files import ReadOptions, read_files
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


def read(
    data_dir: str | None,
    image_root: str | None,
    label_column: str,
    options: ReadOptions,
    on_status: Callable[[str], None],
) -> Dataset:
    """Reads gz2_{train,valid,test}.csv in `data_dir` and `image_root`/<galaxyID>.jpg.

    155,951 RGB images of 424x424 pixels (Kaggle jaimetrickz/galaxy-zoo-2-images). `image_root` is
    by default `data_dir`/images; `label_column` is label1 ("label" means it too) to label4.
    """
    column = "label1" if label_column == "label" else label_column
    if column not in CLASS_NAMES:
        raise UserError(
            f"label_column={label_column!r} given, expected one of {sorted(CLASS_NAMES)}; "
            "change config.data.label_column."
        )
    if data_dir is None:
        raise UserError(
            "'galaxy_zoo2' needs the folder of gz2_train.csv; set config.data.data_dir."
        )
    root = Path(image_root or os.path.join(data_dir, "images"))
    tables = read_tables(data_dir, column)
    if not root.is_dir():
        raise UserError(
            f"there is no folder {root} with the images of Galaxy Zoo 2; get them from Kaggle "
            "(jaimetrickz/galaxy-zoo-2-images) and set config.data.image_root."
        )
    tables = {
        split: [row._replace(path=str(root / f"{row.path}.jpg")) for row in rows]
        for split, rows in tables.items()
    }
    names = CLASS_NAMES[column]
    index = {str(i): i for i in range(len(names))}
    listing = to_listing(tables, index, f"Galaxy Zoo 2's {column}")
    return read_files("galaxy_zoo2", names, listing, options, on_status)


def read_tables(data_dir: str, column: str) -> dict[str, list[Row]]:
    """Lines of the label files by split; the id of each, and still its path, is its galaxyID."""
    tables = {}
    for split in ("train", "valid", "test"):
        file = Path(data_dir) / f"gz2_{split}.csv"
        if not file.is_file():
            raise UserError(f"there is no file {file}; change config.data.data_dir.")
        tables[split] = read_rows(file, "galaxyID", column)
    return tables
