"""A column of a CSV file on the examples of two runs."""

import numpy as np
import pytest

from vitjax.errors import UserError
from vitjax.inference.compare_runs import Column, read_column

IDS = np.array([f"test/{i}" for i in range(8)])


def test_metadata_is_found_by_id_or_by_order(tmp_path):
    path = tmp_path / "facts.csv"
    path.write_text("id,kind\ntest/1,x\ntest/0,y\n")
    assert read_column(Column(path, "kind"), IDS) == ["y", "x"] + [""] * 6
    path.write_text("galaxyID,kind\ntest/1,x\ntest/0,y\nother,z\n")
    assert read_column(Column(path, "kind", "galaxyID"), IDS) == ["y", "x"] + [""] * 6
    path.write_text("kind\n" + "x\n" * 8)
    assert read_column(Column(path, "kind"), IDS) == ["x"] * 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,color\ntest/1,x\n", r"has the columns \['id', 'color'\]"),
        ("id,kind\ntest/0,x\ntest/1,red, large\n", "line 3 has 3 fields, but line 1 names 2"),
        ("id,kind,kind\ntest/1,x,y\n", "has 2 columns 'kind', expected one"),
        ("id,kind,id\ntest/1,x,y\n", "has 2 columns 'id', expected one"),
        ("kind\nx\n", "1 rows for 8 examples"),
        ("id,kind\nother,x\n", "names none of the examples"),
        ("id,kind\ntest/1,x\ntest/1,x\ntest/1,y\n", "has two values of kind for 'test/1' in its"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, text, message):
    (tmp_path / "facts.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_column(Column(tmp_path / "facts.csv", "kind"), IDS)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b'id,kind\n"' + b"x" * 200_000])
def test_metadata_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "facts.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"facts\.csv cannot be read as CSV: "):
        read_column(Column(path, "kind"), IDS)


def test_an_unknown_key_is_refused(tmp_path):
    (tmp_path / "facts.csv").write_text("id,kind\ntest/1,x\n")
    with pytest.raises(
        UserError, match=r"columns \['id', 'kind'\], expected 'name' .*change --key"
    ):
        read_column(Column(tmp_path / "facts.csv", "kind", "name"), IDS)
