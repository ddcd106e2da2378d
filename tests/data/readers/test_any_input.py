"""Whatever a file holds, a reader gives what it says, or a UserError: never a library's error."""

import sys
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from PIL import Image

from vitjax import data
from vitjax.errors import UserError

any_input = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)


def read(name, place, **options):
    """The train split of all that a place holds, and the class names; None where it is refused."""
    try:
        dataset = data.load(name, data_dir=str(place), valid_fraction=0.0, **options, on_status=str)
    except UserError:
        return None
    return dataset.splits, dataset.class_names


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(4):
        Image.new("RGB", (3, 3), (i, 0, 0)).save(folder / f"{i}.png")
    return folder


cells = st.sampled_from(
    [
        *("path", "label", "0.png", "1.png", "2.png", " 3.png", "../0.png", ".", ""),
        *("0", "1", "01", "1.0", "nan", "2147483648", "1e400", "cat", "a\nb"),
        *("é", "\x00", '"', '""', "\ufeff"),
    ]
)
csv_texts = st.lists(st.lists(cells, max_size=3).map(",".join), max_size=8).map("\n".join)
files = st.sampled_from(["0.png", "1.png", "2.png", "3.png"])
labels = st.sampled_from(["0", "1", "7", "cat", "é"])
rows = st.lists(st.tuples(files, labels), min_size=4, max_size=8)
rows_with_others = st.lists(st.tuples(files, labels | cells), min_size=1, max_size=8)
whole_csv = (rows | rows_with_others).map(
    lambda rows: "path,label\n" + "".join(f"{path},{label}\n" for path, label in rows)
)


@pytest.mark.slow
@any_input
@hypothesis.given(
    st.one_of(whole_csv, whole_csv, csv_texts, st.text(max_size=40)).map(
        lambda text: text.encode("utf-8", "replace")
    )
    | st.binary(max_size=40)
)
def test_any_csv(images, content):
    file = images / "list.csv"
    file.write_bytes(content)
    found = read("csv", file)
    if found is not None:
        splits, class_names = found
        paths = np.concatenate([split.ids for split in splits.values()])
        labels = [class_names[i] for split in splits.values() for i in split.labels]
        text = content.decode("utf-8-sig")
        assert all(path.strip() in text for path in paths)
        assert set(labels) == set(class_names)
        for split in splits.values():
            for id, image in zip(split.ids, split.images, strict=True):
                assert image[0, 0, 0] == int(Path(id).stem)


shapes = arrays_of.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)
some_arrays = arrays_of.arrays(
    st.one_of(
        arrays_of.boolean_dtypes(),
        arrays_of.integer_dtypes(),
        arrays_of.unsigned_integer_dtypes(),
        arrays_of.floating_dtypes(),
        arrays_of.complex_number_dtypes(),
        arrays_of.unicode_string_dtypes(max_len=3),
        arrays_of.datetime64_dtypes(),
        st.just(np.dtype([("a", np.uint8), ("b", np.float32)])),
    ),
    shapes,
)
some_images = arrays_of.arrays(np.uint8, st.tuples(st.just(6), *[st.integers(1, 4)] * 2))
some_labels = arrays_of.arrays(
    st.sampled_from(["i1", ">i4", "u8", "i8"]), 6, elements=st.integers(0, 1)
)
whole = {"train_images": some_images, "train_labels": some_labels}
of_train = {"train_images": some_images | some_arrays, "train_labels": some_labels | some_arrays}
others = dict.fromkeys(("test_images", "test_labels", "class_names"), some_arrays)


@any_input
@hypothesis.given(st.fixed_dictionaries(whole) | st.fixed_dictionaries(of_train, optional=others))
def test_any_npz(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "set.npz"
        np.savez(file, **content)
        found = read("npz", file)
    if found is not None:
        splits, class_names = found
        labels = content["train_labels"].ravel()
        read_labels = np.concatenate([splits[name].labels for name in splits])
        if "test_images" not in content:
            assert sorted(read_labels) == sorted(labels.tolist())
        assert 2 <= len(set(class_names)) == len(class_names) > read_labels.max()
        assert all(split.images.dtype == np.uint8 for split in splits.values())


names = st.text(
    st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have fewer names")
@any_input
@hypothesis.given(
    st.lists(names | st.sampled_from(["train", "test", "Val", ".a", " "]), max_size=4, unique=True)
)
def test_folders_of_any_names(class_names):
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(class_names):
            (Path(folder) / name).mkdir()
            for i in range(2):
                image = Image.new("L", (2, 2), number)
                image.save(Path(folder) / name / f"{i}.png")
        found = read("folder", folder)
    if found is not None:
        splits, read_names = found
        assert list(read_names) == sorted(name for name in class_names if name[0] != ".")
        for split in splits.values():
            for label, image in zip(split.labels, split.images, strict=True):
                assert read_names[label] == class_names[image[0, 0, 0]]
