"""Drawn galaxies in the format of Galaxy Zoo 2, prepared and read."""

import json
import shutil
import sys

import numpy as np
import pytest
from commands import main_in_process_of_its_own
from galaxies import MERGED, load, rows_of

from vitjax.data.readers import galaxy_zoo2
from vitjax.data.readers.galaxy_zoo2 import synthetic


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

    import vitjax.data.readers.galaxy_zoo2.builder  # noqa: F401  makes the set known

    builder = tfds.builder("galaxy_zoo2", data_dir=tmp_path)
    manual = tfds.download.DownloadConfig(manual_dir=drawn)
    for _ in range(2):
        builder.download_and_prepare(file_format="array_record", download_config=manual)
    assert len(builder.as_data_source("validation")) == 10


@pytest.mark.long
def test_a_small_vit_learns_drawn_galaxies(tmp_path):
    synthetic.write(tmp_path, 800)
    small = "model.num_layers=2 model.hidden_dim=64 model.mlp_dim=128 model.patch_size=12"
    short = "num_epochs=20 optim.learning_rate=2e-3 schedule.step_size=100 data.batch_size=32"
    words = [f"--config.{word}" for word in f"{small} {short} data.image_size=96".split()]
    words += ["--config=configs/vit_galaxy_zoo2.py:110421", "--config.data.fit=resize"]
    words += [f"--workdir={tmp_path}/run", f"--config.data.data_dir={tmp_path}"]
    main_in_process_of_its_own(*words)
    result = json.loads((tmp_path / "run" / "eval.json").read_text())
    assert result["accuracy"] > 0.45  # the largest class has 0.25
