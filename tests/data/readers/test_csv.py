import pytest
from PIL import Image

from vitjax.data.readers import csv
from vitjax.data.readers.image_files import Wanted
from vitjax.errors import UserError


@pytest.fixture
def root(tmp_path):
    for i in range(4):
        Image.new("L", (5, 5), i).save(tmp_path / f"{i}.png")
    return tmp_path


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def read(data_dir, image_root=None, label_column="label"):
    return csv.read(Wanted("csv", str(data_dir), image_root, label_column))


def test_one_file_with_names(root):
    file = write(root / "all.csv", "path,label", "1.png,dog", "0.png,cat", "2.png,dog")
    dataset = read(file)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.splits["train"].labels.tolist() == [1, 0, 1]
    assert dataset.splits["train"].images[:, 0, 0, 0].tolist() == [1, 0, 2]
    assert dataset.splits["train"].ids.tolist() == ["1.png", "0.png", "2.png"]


def test_numbers_sort_by_value(root):
    file = write(root / "all.csv", "path,label", "1.png,10", "0.png,9", "2.png,100")
    assert read(file).class_names == ("9", "10", "100")


def test_folder_of_splits(root):
    write(root / "train.csv", "path,label", "0.png,0", "1.png,1")
    write(root / "test.csv", "path,label", "2.png,1")
    dataset = read(root)
    assert list(dataset.splits) == ["train", "test"]
    assert dataset.splits["test"].labels.tolist() == [1]


@pytest.mark.parametrize("name", ["valid", "val", "validation"])
def test_names_of_validation(root, name):
    write(root / "train.csv", "path,label", "0.png,0", "1.png,1")
    write(root / f"{name}.csv", "path,label", "2.png,1")
    assert read(root).splits["valid"].ids.tolist() == ["2.png"]


@pytest.mark.parametrize("line", ['1.png,"dog', '"1.png,dog'])
@pytest.mark.parametrize("last", ["2.png,cat", '2.png,"cat"'])
def test_a_quote_that_is_not_closed_swallows_no_lines(root, line, last):
    file = write(root / "all.csv", "path,label", "0.png,cat", line, last)
    with pytest.raises(UserError, match=r"all\.csv is no CSV file.*close all quotes"):
        read(file)


def test_a_split_that_is_there_under_two_names(root):
    for name in ("train", "val", "validation"):
        write(root / f"{name}.csv", "path,label", "0.png,0", "1.png,1")
    with pytest.raises(UserError, match=r"holds both val\.csv and validation\.csv, expected one"):
        read(root)


def test_other_columns_and_a_byte_order_mark(root):
    file = write(root / "all.csv", "\ufeffid,path,kind", 'a,0.png,"x, y"', "b,1.png,z")
    assert read(file, label_column="kind").class_names == ("x, y", "z")


def test_rows_may_leave_out_empty_cells_at_their_end_or_have_more(root):
    file = write(root / "all.csv", "path,label,note", "0.png,cat", "1.png,dog,,", "2.png,cat,x, ,")
    assert read(file).splits["train"].labels.tolist() == [0, 1, 0]


def test_large_numbers_are_compared_to_the_last_digit(root):
    numbers = ["9007199254740993", "9007199254740992", "123456789012345678902"]
    lines = [f"{i}.png,{number}" for i, number in enumerate(numbers)]
    file = write(root / "all.csv", "path,label", *lines)
    assert read(file).class_names == (numbers[1], numbers[0], numbers[2])


def test_digits_parted_by_an_underscore_are_a_name(root):
    """Python reads 1_0 as 10, and would take the two for one class."""
    file = write(root / "all.csv", "path,label", "0.png,1_0", "1.png,10", "2.png,9")
    assert read(file).class_names == ("10", "1_0", "9")


def test_image_root_and_absolute_paths(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("labels")
    file = write(elsewhere / "all.csv", "path,label", "0.png,0", f"{root / '1.png'},1")
    assert read(file, image_root=str(root)).splits["train"].images[1, 0, 0, 0] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["path,kind", "0.png,a"],
            r"line 1 .*\['path', 'kind'\].*'label'.*config\.data\.label_col",
        ),
        (["file,label", "0.png,a"], "expected 'path' among them; change the header"),
        (["path,label"], "a header but no lines"),
        ([""], r"line 1 has the columns \[\]"),
        (["path,label", "0.png,a", "1.png,"], "all.csv line 3 has no label"),
        (["path,label", "0.png"], "all.csv line 2 has no label"),
        (["path,label", ",a"], "all.csv line 2 has no path"),
        (["path,label", "0.png,1", "1.png,nan"], "all.csv line 3 has the label 'nan'; complete"),
        (
            ["path,label", "0.png,0", "1.png,0.0"],
            "line 3 has the label '0.0', and .*line 2 '0', which is the same number",
        ),
        (
            ["path,label", "0.png,dog", "1.png,cat, black"],
            "all.csv line 3 has 3 fields, but line 1 names 2 columns; put .* in double quotes",
        ),
        (["path,label,label", "0.png,a,b"], "line 1 has 2 columns 'label', expected one"),
        (["path,path,label", "0.png,1.png,b"], "line 1 has 2 columns 'path', expected one"),
        (["path,label", "0.png,007", "1.png,7"], "is the same number; write it in one way"),
    ],
)
def test_bad_files(root, lines, message):
    with pytest.raises(UserError, match=message):
        read(write(root / "all.csv", *lines))


def test_names_missing_images_with_their_lines(root):
    file = write(root / "all.csv", "path,label", "0.png,a", "x.png,b", "y.png,a")
    with pytest.raises(UserError, match=r"2 listed .*x\.png \(.*all\.csv line 3\), .*y\.png"):
        read(file)


def test_label_unknown_to_train(root):
    write(root / "train.csv", "path,label", "0.png,a", "1.png,b")
    write(root / "valid.csv", "path,label", "2.png,a", "3.png,c")
    with pytest.raises(
        UserError, match=r"valid\.csv line 3 has the label 'c', which train does not"
    ):
        read(root)


def test_no_text(root):
    (root / "all.csv").write_bytes(b"path,label\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="no CSV file in UTF-8"):
        read(root / "all.csv")


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_missing(tmp_path, name):
    with pytest.raises(UserError, match=r"train\.csv; change config\.data\.data_dir"):
        read(tmp_path / name)
