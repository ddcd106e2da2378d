"""Images listed with their labels in CSV files."""

import csv
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vitjax.data.dataset import Dataset
from vitjax.data.readers.image_files import Files, Listing, ReadOptions, Wanted, read_files
from vitjax.errors import UserError

_STEMS = {  # what the file of each split may be called
    "train": ("train",),
    "valid": ("valid", "val", "validation"),
    "test": ("test",),
}


class Row(NamedTuple):
    """One line of a CSV file."""

    where: str  # "FILE line N", for messages
    id: str  # the path as it is written there
    path: str
    label: str


def read(wanted: Wanted) -> Dataset:
    """Reads one CSV file, or a folder with train.csv and optionally valid.csv and test.csv.

    valid.csv may be called val.csv or validation.csv. The header names a column `path`, relative
    to `image_root` (default: the file's folder) or absolute, and `label_column`, integers or names
    of classes; the classes are those of train.
    Raises UserError in one line, and OSError as the system does.
    """
    files = find(wanted.data_dir)
    tables = {}
    for split, file in files.items():
        root = Path(wanted.image_root) if wanted.image_root else file.parent
        rows = read_rows(file, "path", wanted.label_column)
        tables[split] = [row._replace(path=os.path.join(root, row.path)) for row in rows]
    class_names = _sorted_labels({row.label: row.where for row in tables["train"]})
    listing = _to_listing(tables, {name: i for i, name in enumerate(class_names)}, wanted.options)
    return read_files("csv", class_names, listing, wanted.options, wanted.on_status)


def find(data_dir: str | None) -> dict[str, Path]:
    """The CSV file of each split; raises UserError where there is none, or two of one split."""
    if data_dir is None:
        raise UserError(
            "'csv' needs a .csv file or a folder with train.csv; set config.data.data_dir."
        )
    path = Path(data_dir)
    files = {"train": path} if path.is_file() else _of_folder(path)
    if "train" not in files:
        raise UserError(
            f"{path} is neither a .csv file nor a folder with train.csv; "
            "change config.data.data_dir."
        )
    return files


def _of_folder(folder: Path) -> dict[str, Path]:
    """The file of each split that a folder has."""
    files = {}
    for split, stems in _STEMS.items():
        found = [file for stem in stems if (file := folder / f"{stem}.csv").is_file()]
        if len(found) > 1:
            raise UserError(
                f"{folder} holds both {found[0].name} and {found[1].name}, expected one file per "
                "split; remove one from config.data.data_dir."
            )
        if found:
            files[split] = found[0]
    return files


def read_rows(file: Path, path_column: str, label_column: str) -> list[Row]:
    """The two columns of a CSV file with a header; errors name the file and the line."""
    rows = []
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:  # Excel puts a mark in front
            reader = csv.DictReader(lines, skipinitialspace=True, strict=True)
            columns = list(reader.fieldnames or [])
            check_header(file, columns, path_column, "the header")
            check_header(file, columns, label_column, "config.data.label_column")
            for where, record in whole_rows(file, reader):
                path, label = record[path_column], record[label_column]
                if not path or not label or not label.strip():
                    raise UserError(
                        f"{where} has no {path_column if not path else label_column}; "
                        "complete or delete the line."
                    )
                rows.append(Row(where, path, path, label.strip()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{file} is no CSV file in UTF-8 ({error}); save it as such, and close all quotes."
        ) from error
    if not rows:
        raise UserError(f"{file} has a header but no lines; change config.data.data_dir.")
    return rows


def whole_rows(
    file: Path, reader: "csv.DictReader[str]"
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yields "FILE line N" and each row of a CSV file; UserError for one that would be cut."""
    columns = reader.fieldnames or []
    for record in reader:
        where = f"{file} line {reader.line_num}"
        more = record.pop(None, [])
        if any(map(str.strip, more)):  # empty cells at the end mean nothing
            raise UserError(
                f"{where} has {len(columns) + len(more)} fields, but line 1 names "
                f"{len(columns)} columns; put what holds a comma in double quotes."
            )
        yield where, record


def check_header(file: Path, columns: list[str], column: str, option: str) -> None:
    """Raises UserError unless a column is there once; says to change `option`."""
    if column not in columns:
        raise UserError(
            f"{file} line 1 has the columns {columns}, expected {column!r} among them; "
            f"change {option}."
        )
    if (count := columns.count(column)) > 1:
        raise UserError(
            f"{file} line 1 has {count} columns {column!r}, expected one; rename or delete others."
        )


def _to_listing(
    tables: dict[str, list[Row]], index: dict[str, int], options: ReadOptions
) -> Listing:
    """Checks that all files exist, if they must, and that labels are keys of `index`, train's."""
    listing: Listing = {}
    missing = []
    for split, rows in tables.items():
        for row in rows:
            if row.label not in index:
                known = ", ".join(list(index)[:10]) + (", ..." if len(index) > 10 else "")
                raise UserError(
                    f"{row.where} has the label {row.label!r}, which train does not know, "
                    f"expected one of {known}; correct it or change config.data.label_column."
                )
            if options.must_exist and not os.path.isfile(row.path):
                missing.append(f"{row.path} ({row.where})")
        listing[split] = Files(
            [row.path for row in rows], [index[row.label] for row in rows], [row.id for row in rows]
        )
    if missing:
        more = f", and {len(missing) - 10:,} more" if len(missing) > 10 else ""
        raise UserError(
            f"{len(missing):,} listed images are missing: {', '.join(missing[:10])}{more}; "
            "change config.data.image_root or correct the lines."
        )
    return listing


def _sorted_labels(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Labels and where each stands -> integers by value, anything else by letters.

    Raises UserError for what is no number, as a table's empty cell, and for one number written in
    two ways, which would be two classes.
    """
    numbers: dict[float, str] = {}
    for label, where in labels.items():
        number = _number(label)
        if number is None:
            continue
        if math.isnan(number):
            raise UserError(f"{where} has the label {label!r}; complete or delete the line.")
        other = numbers.setdefault(number, label)
        if other != label:
            raise UserError(
                f"{where} has the label {label!r}, and {labels[other]} {other!r}, which is the "
                "same number; write it in one way."
            )
    if all(isinstance(_number(label), int) for label in labels):
        return tuple(sorted(labels, key=int))
    return tuple(sorted(labels))


def _number(label: str) -> float | None:
    """The number that a label is, integers to their last digit; None for what is no number.

    Python takes 1_0 for 10; a table does not.
    """
    if "_" in label:
        return None
    for kind in (int, float):
        try:
            return kind(label)
        except ValueError:
            continue
    return None
