"""The script that draws galaxies for tests and for users without the photographs."""

import csv

import draw_galaxies
import numpy as np
import pytest
from PIL import Image

from vitjax.data.readers.galaxy_zoo2 import CLASS_NAMES, synthetic


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw_galaxies.main([str(folder), "--count=60"])
    return folder


def rows_of(folder, split):
    with open(folder / f"gz2_{split}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_format_is_that_of_the_published_files(drawn, real_data):
    head, line = (real_data("galaxy_zoo2") / "gz2_train.csv").read_text().split("\n")[:2]
    ours_head, ours_line = (drawn / "gz2_train.csv").read_text().split("\n")[:2]
    assert (ours_head, ours_line.count(",")) == (head, line.count(","))


def test_each_line_has_an_image_of_the_published_size(drawn):
    names = [row["galaxyID"] for split in synthetic.SHARES for row in rows_of(drawn, split)]
    assert len(set(names)) == 60
    assert {path.stem for path in (drawn / "images").iterdir()} == set(names)
    with Image.open(drawn / "images" / f"{names[0]}.jpg") as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (424, 424))


@pytest.mark.parametrize("split", synthetic.SHARES)
def test_every_split_has_all_classes_of_all_columns(drawn, split):
    for column, names in CLASS_NAMES.items():
        assert {int(row[column]) for row in rows_of(drawn, split)} == set(range(len(names)))


def test_classes_and_splits_have_the_published_shares(real_data):
    ours = synthetic.labels_of(155_951, np.random.default_rng(0))
    for split, labels in ours.items():
        with open(real_data("galaxy_zoo2") / f"gz2_{split}.csv", newline="") as file:
            theirs = [int(row["label1"]) for row in csv.DictReader(file)]
        assert abs(len(labels) - len(theirs)) <= 2
        shares = [np.bincount(each) / len(each) for each in (labels, theirs)]
        np.testing.assert_allclose(*shares, atol=0.003)


def test_the_same_seed_draws_the_same(drawn, tmp_path):
    for seed in (0, 1):
        synthetic.write(tmp_path / str(seed), 60, seed)
    name = rows_of(drawn, "train")[0]["galaxyID"]
    file = f"images/{name}.jpg"
    assert (tmp_path / "0" / file).read_bytes() == (drawn / file).read_bytes()
    assert rows_of(tmp_path / "1", "train") != rows_of(drawn, "train")


def test_too_few_for_eight_classes(tmp_path):
    with pytest.raises(ValueError, match="count=20 is too small for eight classes"):
        synthetic.write(tmp_path, 20)
