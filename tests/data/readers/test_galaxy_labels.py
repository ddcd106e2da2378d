"""The published label files of Galaxy Zoo 2."""

import numpy as np
import pytest
from galaxies import MERGED

from vitjax.data.readers import galaxy_zoo2
from vitjax.training import losses

COUNTS = {  # by label1, from the seed's repository
    "train": [21683, 25111, 4766, 10436, 13029, 19653, 3769, 1361],
    "valid": [5460, 6244, 1177, 2618, 3230, 4910, 980, 333],
    "test": [6755, 7845, 1471, 3295, 4148, 6094, 1176, 407],
}
WEIGHTS = [0.58, 0.50, 2.62, 1.20, 0.96, 0.63, 3.31, 9.17]  # w2 of the seed


@pytest.fixture(scope="module")
def tables(real_data):
    folder = str(real_data("galaxy_zoo2"))
    return {name: galaxy_zoo2.read_tables(folder, name) for name in galaxy_zoo2.CLASS_NAMES}


def labels_in(rows):
    return np.array([int(row.label) for row in rows])


@pytest.mark.parametrize("split", COUNTS)
def test_published_counts(tables, split):
    assert np.bincount(labels_in(tables["label1"][split])).tolist() == COUNTS[split]


def test_published_splits_are_disjoint(tables):
    galaxies = [row.id for rows in tables["label1"].values() for row in rows]
    assert len(galaxies) == len(set(galaxies)) == 155_951


@pytest.mark.parametrize("column", MERGED)
def test_merged_labels(tables, column):
    for split, rows in tables["label1"].items():
        merged = np.array(MERGED[column])[labels_in(rows)]
        np.testing.assert_array_equal(merged, labels_in(tables[column][split]))
    assert len(galaxy_zoo2.CLASS_NAMES[column]) == max(MERGED[column]) + 1


def test_balanced_weights_are_the_published_ones(tables):
    labels = labels_in(tables["label1"]["train"]).astype(np.int32)
    weights = losses.class_weights("balanced", labels, 8)
    np.testing.assert_array_equal(np.round(weights.astype(float), 2), WEIGHTS)
