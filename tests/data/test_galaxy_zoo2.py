"""Galaxy Zoo 2: the published label files, and drawn galaxies in their format."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import draw_galaxies
import numpy as np
import pytest
from commands import REPO, environment, main_in_process_of_its_own

from vitjax import data
from vitjax.data import galaxy_zoo2
from vitjax.errors import UserError
from vitjax.training import losses

COUNTS = {  # by label1, from the seed's repository
    "train": [21683, 25111, 4766, 10436, 13029, 19653, 3769, 1361],
    "valid": [5460, 6244, 1177, 2618, 3230, 4910, 980, 333],
    "test": [6755, 7845, 1471, 3295, 4148, 6094, 1176, 407],
}
MERGED = {
    "label2": [0, 0, 0, 1, 2, 2, 3, 4],
    "label3": [0, 0, 0, 1, 1, 1, 2, 3],
    "label4": [0, 0, 0, 1, 1, 1, 2, 2],
}
WEIGHTS = [0.58, 0.50, 2.62, 1.20, 0.96, 0.63, 3.31, 9.17]  # w2 of the seed


# The published label files


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


# Drawn galaxies, prepared and read


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Label files and images of 60 galaxies, not to be changed."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_galaxies.write(folder, 60)
    return folder


@pytest.fixture
def own(drawn, tmp_path):
    """A copy of them, to be changed."""
    return shutil.copytree(drawn, tmp_path / "own")


@pytest.fixture(scope="module")
def prepared(drawn, tmp_path_factory):
    """A folder with nothing but the prepared set."""
    root = tmp_path_factory.mktemp("prepared")
    shutil.copytree(drawn, root / "downloads" / "manual" / "galaxy_zoo2")
    load(root)
    shutil.rmtree(root / "downloads")
    return root


def load(folder, lines=None, **options):
    on_status = (lambda line: None) if lines is None else lines.append
    options = {"image_size": 8} | options
    return data.load("galaxy_zoo2", data_dir=str(folder), on_status=on_status, **options)


def rows_of(folder, split):
    with open(folder / f"gz2_{split}.csv", newline="") as file:
        return list(csv.DictReader(file))


def images_of(folder):
    return sorted(path.stem for path in (folder / "images").iterdir())


@pytest.mark.parametrize("column", galaxy_zoo2.CLASS_NAMES)
def test_each_galaxy_has_the_label_of_its_line(prepared, drawn, column):
    dataset = load(prepared, label_column=column)
    assert dataset.class_names == galaxy_zoo2.CLASS_NAMES[column]
    assert {name: len(split) for name, split in dataset.splits.items()} == dict(
        train=38, valid=10, test=12
    )
    for name, split in dataset.splits.items():
        expected = {row["galaxyID"]: int(row[column]) for row in rows_of(drawn, name)}
        assert dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True)) == expected


def test_preparing_and_reading_import_no_tensorflow(prepared):
    load(prepared)
    assert "tensorflow" not in sys.modules


def test_label_means_the_eight_classes(prepared):
    assert load(prepared, label_column="label").class_names[7] == "Merger"


def test_reads_the_middle_of_424_pixels(prepared, drawn):
    test = load(prepared, image_size=224, fit="center_crop").splits["test"]
    whole = load(prepared, image_size=None, max_examples=1).splits["test"]
    assert whole.images.shape == (1, 424, 424, 3)
    np.testing.assert_array_equal(whole.images[0, 100:324, 100:324], test.images[0])


def test_files_are_stored_as_they_came_and_tfds_reads_them(prepared, drawn):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(prepared / "galaxy_zoo2" / "1.0.0")
    assert builder.info.file_format.value == "array_record"
    source = builder.as_data_source("test", decoders={"image": tfds.decode.SkipDecoding()})
    stored = {example["galaxyID"].decode(): example["image"] for example in source}
    files = {name: (drawn / "images" / f"{name}.jpg").read_bytes() for name in stored}
    assert stored == files
    assert source[0]["label2"] == MERGED["label2"][source[0]["label1"]]


def test_the_order_is_always_the_same_and_random(prepared, own):
    ids = [load(folder).splits["train"].ids.tolist() for folder in (prepared, own)]
    assert ids[0] == ids[1] != [row["galaxyID"] for row in rows_of(own, "train")]


def test_says_what_it_prepares_and_only_once(own):
    lines = []
    load(own, lines)
    assert lines[:2] == [
        f"preparing galaxy_zoo2 in {own}/galaxy_zoo2/1.0.0",
        f"galaxy_zoo2: 60 images in {own}/images",
    ]
    shutil.rmtree(own / "images")
    lines.clear()
    load(own, lines)
    assert lines[0] == "reading galaxy_zoo2/train: 38 images"


def test_tfds_prepares_it_by_its_own_way(drawn, tmp_path):
    import tensorflow_datasets as tfds

    import vitjax.data.galaxy_zoo2.builder  # noqa: F401  makes the set known

    builder = tfds.builder("galaxy_zoo2", data_dir=tmp_path)
    manual = tfds.download.DownloadConfig(manual_dir=drawn)
    for _ in range(2):
        builder.download_and_prepare(file_format="array_record", download_config=manual)
    assert len(builder.as_data_source("validation")) == 10


# Where images may lie


def unpacked(folder, below):
    (folder / below).parent.mkdir(parents=True, exist_ok=True)
    (folder / "images").rename(folder / below)
    return {}


def zipped(folder, archive, below):
    with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as file:
        for image in (folder / "images").iterdir():
            file.write(image, f"{below}/{image.name}")
        file.writestr(f"__MACOSX/{below}/._5.jpg", b"")
    shutil.rmtree(folder / "images")
    return {}


LAYOUTS = {
    "Kaggle's, unpacked": lambda folder: unpacked(folder, "images_gz2/images"),
    "Kaggle's": lambda folder: zipped(folder, "archive.zip", "images_gz2/images"),
    "Kaggle's by its program": lambda folder: zipped(
        folder, "galaxy-zoo-2-images.zip", "images_gz2/images"
    ),
    "Zenodo's": lambda folder: zipped(folder, "images_gz2.zip", "images"),
    "beside the label files": lambda folder: [
        image.rename(folder / image.name) for image in (folder / "images").iterdir()
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_images(own, layout):
    LAYOUTS[layout](own)
    assert len(load(own).splits["test"]) == 12


def test_finds_images_elsewhere(own, tmp_path):
    (own / "images").rename(tmp_path / "elsewhere")
    assert len(load(own, image_root=str(tmp_path / "elsewhere")).splits["test"]) == 12


def test_finds_an_archive_elsewhere(own, tmp_path):
    zipped(own, "images_gz2.zip", "images")
    archive = (own / "images_gz2.zip").rename(tmp_path / "galaxies.zip")
    assert len(load(own, image_root=str(archive)).splits["test"]) == 12


def test_label_files_may_name_objects_where_the_mapping_is_at_hand(own):
    """As Galaxy Zoo's own tables do, by the numbers of the Sloan survey."""
    objects = {name: str(587722981736120347 + i) for i, name in enumerate(images_of(own))}
    mapping = ["objid,sample,asset_id"]
    mapping += [f"{object_id},stripe82,355990" for object_id in objects.values()]  # no such file
    mapping += [f"{object_id},original,{name}" for name, object_id in objects.items()]
    (own / "gz2_filename_mapping.csv").write_text("\n".join(mapping))
    images = load(own).splits["test"].images
    shutil.rmtree(own / "galaxy_zoo2")
    for split in ("train", "valid", "test"):
        lines = [
            ",".join([objects[row["galaxyID"]], *list(row.values())[1:]])
            for row in rows_of(own, split)
        ]
        text = "\n".join(["galaxyID,label1,label2,label3,label4", *lines])
        (own / f"gz2_{split}.csv").write_text(text)
    test = load(own).splits["test"]
    np.testing.assert_array_equal(test.images, images)
    assert set(test.ids) <= set(objects.values())


# What may be missing or wrong


def test_missing_images_are_counted_and_listed(own):
    gone = [("train", rows_of(own, "train")[3]["galaxyID"])]
    gone += [("test", row["galaxyID"]) for row in rows_of(own, "test")[:2]]
    for _, name in gone:
        (own / "images" / f"{name}.jpg").unlink()
    for _ in range(2):  # prepared, and as it stands
        lines = []
        dataset = load(own, lines)
        assert [len(split) for split in dataset.splits.values()] == [37, 10, 10]
        note = "3 of 60 listed galaxies have no image: see missing_images.csv beside"
        assert any(note in line for line in lines)
    listed = (own / "galaxy_zoo2" / "1.0.0" / "missing_images.csv").read_text()
    assert listed == "".join(f"{','.join(pair)}\n" for pair in [("split", "galaxyID"), *gone])


def test_no_images(own):
    shutil.rmtree(own / "images")
    with pytest.raises(UserError, match=rf"no images .* in {own}.*Kaggle .*data\.image_root"):
        load(own)
    assert not (own / "galaxy_zoo2").exists()


def test_only_images_that_are_not_listed(own):
    for path in (own / "images").iterdir():
        path.unlink()
    (own / "images" / "3.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"none of the 60 listed galaxies has an image in .*images"):
        load(own)


def test_a_split_without_images(own):
    for row in rows_of(own, "valid"):
        (own / "images" / f"{row['galaxyID']}.jpg").unlink()
    with pytest.raises(UserError, match=r"none of the galaxies in gz2_valid\.csv has an image"):
        load(own)


def test_the_images_of_the_challenge_are_others(own):
    (own / "images" / "412345.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds 412345\.jpg.*Challenge: its numbers mean other"):
        load(own)


def test_a_damaged_image_is_named(own):
    name = rows_of(own, "test")[5]["galaxyID"]
    file = own / "images" / f"{name}.jpg"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UserError, match=rf"example {name} of split test in .* is damaged"):
        load(own)


def test_a_cut_archive(own):
    zipped(own, "images_gz2.zip", "images")
    archive = own / "images_gz2.zip"
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"images_gz2\.zip is no whole \.zip file .*download it"):
        load(own)


def test_a_damaged_archive(own):
    zipped(own, "images_gz2.zip", "images")
    archive = own / "images_gz2.zip"
    content = bytearray(archive.read_bytes())
    content[5000:6000] = bytes(1000)
    archive.write_bytes(content)
    with pytest.raises(UserError, match=r"\.jpg in .*images_gz2\.zip is damaged"):
        load(own)
    assert list((own / "galaxy_zoo2").iterdir()) == []


def test_other_label_column(prepared):
    with pytest.raises(UserError, match=r"'label5' given, .*config\.data\.label_column"):
        load(prepared, label_column="label5")


def test_label_out_of_range(own):
    with open(own / "gz2_valid.csv", "a") as file:
        file.write("\n1,8,0,0,0")
    with pytest.raises(UserError, match=r"gz2_valid\.csv line 13 has the label '8' in label1"):
        load(own)


def test_missing_labels(tmp_path):
    with pytest.raises(UserError, match=r"no file .*gz2_train\.csv.*config\.data\.data_dir"):
        load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


# Interrupted, or twice at once

KILLED = """
import os, signal, sys
from vitjax import data
from vitjax.data.galaxy_zoo2.archive import Archive

read, files = Archive.read, []

def read_or_die(self, file):
    files.append(file)
    if len(files) == 50:  # within the last split
        os.kill(os.getpid(), signal.SIGKILL)
    return read(self, file)

Archive.read = read_or_die
data.load("galaxy_zoo2", data_dir=sys.argv[1], image_size=8)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_preparation_is_not_taken_for_whole(own):
    words = [sys.executable, "-c", KILLED, str(own)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), cwd=REPO)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (left,) = (own / "galaxy_zoo2").iterdir()
    assert left.name.startswith("incomplete.")
    (left / "dataset_info.json").write_text("{}")  # which is the last file to be written
    lines = []
    assert len(load(own, lines).splits["test"]) == 12
    assert lines[0].startswith("preparing")


def test_ctrl_c_leaves_nothing(own):
    def interrupt(line):
        if "60 images" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.load("galaxy_zoo2", data_dir=str(own), image_size=8, on_status=interrupt)
    assert list((own / "galaxy_zoo2").iterdir()) == []


def test_another_process_may_be_faster(own, prepared):
    def be_faster(line):
        if "60 images" in line:
            shutil.copytree(prepared / "galaxy_zoo2", own / "galaxy_zoo2", dirs_exist_ok=True)

    dataset = data.load("galaxy_zoo2", data_dir=str(own), image_size=8, on_status=be_faster)
    assert len(dataset.splits["test"]) == 12
    assert os.listdir(own / "galaxy_zoo2") == ["1.0.0"]


def test_prepares_parquet_where_array_record_is_absent(own, monkeypatch):
    import importlib.util

    pytest.importorskip("pyarrow")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *a: None if name == "array_record" else find(name, *a),
    )
    test = load(own).splits["test"]
    assert list(Path(own).glob("galaxy_zoo2/1.0.0/*.parquet*"))
    assert {row["galaxyID"] for row in rows_of(own, "test")} == set(test.ids)


@pytest.mark.slow
def test_a_small_vit_learns_drawn_galaxies(tmp_path):
    draw_galaxies.write(tmp_path, 800)
    small = "model.num_layers=2 model.hidden_dim=64 model.mlp_dim=128 model.patch_size=12"
    short = "num_epochs=20 optim.learning_rate=2e-3 schedule.step_size=100 data.batch_size=32"
    words = [f"--config.{word}" for word in f"{small} {short} data.image_size=96".split()]
    words += ["--config=configs/vit_galaxy_zoo2.py:110421", "--config.data.fit=resize"]
    words += [f"--workdir={tmp_path}/run", f"--config.data.data_dir={tmp_path}"]
    main_in_process_of_its_own(*words)
    result = json.loads((tmp_path / "run" / "eval.json").read_text())
    assert result["accuracy"] > 0.45  # the largest class has 0.25
