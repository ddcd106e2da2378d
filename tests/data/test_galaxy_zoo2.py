import numpy as np
import pytest
from PIL import Image

from vitjax import data
from vitjax.data import galaxy_zoo2
from vitjax.errors import UserError

COUNTS = {  # by label1, from the seed's repository
    "train": [21683, 25111, 4766, 10436, 13029, 19653, 3769, 1361],
    "valid": [5460, 6244, 1177, 2618, 3230, 4910, 980, 333],
    "test": [6755, 7845, 1471, 3295, 4148, 6094, 1176, 407],
}


@pytest.fixture(scope="module")
def tables(real_data):
    folder = str(real_data("galaxy_zoo2"))
    return {name: galaxy_zoo2.read_tables(folder, name) for name in galaxy_zoo2.CLASS_NAMES}


@pytest.mark.parametrize("split", COUNTS)
def test_published_counts(tables, split):
    labels = [int(row.label) for row in tables["label1"][split]]
    assert np.bincount(labels).tolist() == COUNTS[split]


def test_published_splits_are_disjoint(tables):
    galaxies = [row.path for rows in tables["label1"].values() for row in rows]
    assert len(galaxies) == len(set(galaxies)) == 155_951


@pytest.mark.parametrize(
    ("column", "merged"),
    [
        ("label2", [0, 0, 0, 1, 2, 2, 3, 4]),
        ("label3", [0, 0, 0, 1, 1, 1, 2, 3]),
        ("label4", [0, 0, 0, 1, 1, 1, 2, 2]),
    ],
)
def test_merged_labels(tables, column, merged):
    for split, rows in tables["label1"].items():
        fine = np.array([int(row.label) for row in rows])
        coarse = np.array([int(row.label) for row in tables[column][split]])
        np.testing.assert_array_equal(np.array(merged)[fine], coarse)
    assert len(galaxy_zoo2.CLASS_NAMES[column]) == max(merged) + 1


@pytest.fixture
def small(tmp_path):
    (tmp_path / "images").mkdir()
    lines = [f"{i},{i},{min(i, 4)},{min(i, 3)},{min(i, 2)}" for i in range(8)]
    for split in ("train", "valid", "test"):
        text = "\n".join(["galaxyID,label1,label2,label3,label4", *lines])
        (tmp_path / f"gz2_{split}.csv").write_text(text)
    for i in range(8):
        Image.new("RGB", (12, 12), (i * 20, 0, 0)).save(tmp_path / "images" / f"{i}.jpg")
    return tmp_path


def test_reads_images(small):
    dataset = data.load("galaxy_zoo2", data_dir=str(small), image_size=4, fit="center_crop")
    assert dataset.image_shape == (4, 4, 3)
    assert dataset.class_names[7] == "Merger"
    assert dataset.splits["test"].labels.tolist() == list(range(8))
    assert dataset.splits["test"].ids.tolist() == [str(i) for i in range(8)]  # galaxyID


def test_label_column(small):
    dataset = data.load("galaxy_zoo2", data_dir=str(small), label_column="label4")
    assert dataset.class_names == ("Elliptical", "Spiral", "Irregular or Merger")


def test_other_label_column(small):
    with pytest.raises(UserError, match=r"'label5' given, .*config\.data\.label_column"):
        data.load("galaxy_zoo2", data_dir=str(small), label_column="label5")


def test_label_out_of_range(small):
    with open(small / "gz2_valid.csv", "a") as file:
        file.write("\n1,8,0,0,0")
    with pytest.raises(UserError, match=r"gz2_valid\.csv line 10 has the label '8'"):
        data.load("galaxy_zoo2", data_dir=str(small))


def test_missing_images(small):
    with pytest.raises(UserError, match=r"Kaggle .*config\.data\.image_root"):
        data.load("galaxy_zoo2", data_dir=str(small), image_root=str(small / "nowhere"))


def test_missing_labels(tmp_path):
    with pytest.raises(UserError, match=r"no file .*gz2_train\.csv"):
        data.load("galaxy_zoo2", data_dir=str(tmp_path))
