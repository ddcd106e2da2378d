"""Reads and rearranges drawn galaxies, for the tests of Galaxy Zoo 2."""

import csv
import shutil
import zipfile

from vitjax import data

MERGED = {  # label1 to the others
    "label2": [0, 0, 0, 1, 2, 2, 3, 4],
    "label3": [0, 0, 0, 1, 1, 1, 2, 3],
    "label4": [0, 0, 0, 1, 1, 1, 2, 2],
}


def load(folder, lines=None, **options):
    on_status = (lambda line: None) if lines is None else lines.append
    options = {"image_size": 8} | options
    return data.load("galaxy_zoo2", data_dir=str(folder), on_status=on_status, **options)


def rows_of(folder, split):
    with open(folder / f"gz2_{split}.csv", newline="") as file:
        return list(csv.DictReader(file))


def images_of(folder):
    return sorted(path.stem for path in (folder / "images").iterdir())


def zipped(folder, archive, below):
    with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as file:
        for image in (folder / "images").iterdir():
            file.write(image, f"{below}/{image.name}")
        file.writestr(f"__MACOSX/{below}/._5.jpg", b"")
    shutil.rmtree(folder / "images")
    return {}
