"""Folders of TFDS as others prepare them, and what may happen to their files."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from vitjax import data
from vitjax.errors import UserError

CLASSES = ["plane", "bird", "cat", "deer"]
ORIENTATION = 0x0112


def image_file(seed, size=(8, 8), file_format="png", orientation=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    exif, file = Image.Exif(), io.BytesIO()
    if orientation:
        exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(file, file_format, exif=exif)
    return io.BytesIO(file.getvalue())


@pytest.fixture
def prepare(tmp_path):
    def prepare(
        splits=("train", "test"),
        count=40,
        label_of=lambda i: i % 4,
        features=None,
        also=lambda i: {},
        file_format="array_record",
        image=image_file,
        size=(8, 8),
        **options,
    ):
        """Writes a set named mine into tmp_path by TFDS; returns the folder of its version."""

        def examples(first):
            for i in range(count):
                yield i, {"image": image(first + i), "label": label_of(i)} | also(i)

        class Mine(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            name, VERSION = "mine", tfds.core.Version("1.0.0")

            def _info(self):
                kinds = {
                    "image": tfds.features.Image(shape=(*size, 3)),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                } | (features or {})
                return tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(kinds),
                    supervised_keys=("image", "label"),
                    **options,
                )

            def _split_generators(self, dl_manager):
                return {split: examples(1000 * i) for i, split in enumerate(splits)}

            def _generate_examples(self):
                raise NotImplementedError

        Mine(data_dir=tmp_path).download_and_prepare(file_format=file_format)
        return tmp_path / "mine/1.0.0"

    return prepare


def load(folder, **options):
    options = {"valid_fraction": 0, "on_status": lambda line: None} | options
    return data.load("mine", data_dir=str(folder.parents[1]), **options)


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_a_split_for_validation_by_any_of_its_names(prepare, name):
    folder = prepare(splits=("train", name, "test"), count=20)
    sizes = {split: len(images) for split, images in load(folder).splits.items()}
    assert sizes == {"train": 20, "valid": 20, "test": 20}


def test_few_examples_of_a_set_in_order_of_classes_are_of_all_classes(prepare):
    folder = prepare(label_of=lambda i: i // 10, disable_shuffling=True)
    train, whole = (load(folder, max_examples=n).splits["train"] for n in (8, None))
    assert np.bincount(train.labels).tolist() == [2, 2, 2, 2]
    places = [int(name.partition("/")[2]) for name in train.ids]
    np.testing.assert_array_equal(train.images, whole.images[places])


@pytest.mark.parametrize("content", [b"", "plane\nbird\nchât\ndeer\n".encode("latin1")])
def test_damaged_names_of_classes(prepare, content):
    folder = prepare()
    (folder / "label.labels.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"label\.labels\.txt is damaged"):
        load(folder)


def test_an_id_that_is_no_text_is_no_id(prepare):
    folder = prepare(features={"galaxyID": np.int64}, also=lambda i: {"galaxyID": i})
    assert load(folder).splits["train"].ids[:2].tolist() == ["train/0", "train/1"]


def test_damaged_image(prepare):
    folder = prepare(image=lambda seed: io.BytesIO(b"\x88" + image_file(seed).getvalue()[1:]))
    with pytest.raises(UserError, match=r"example 0 of split train in .* is damaged"):
        load(folder)


def test_an_image_that_its_exif_data_turn(prepare):
    def image(seed):
        return image_file(seed, (8, 16), "jpeg", orientation=6)

    folder = prepare(image=image, size=(8, 16))
    words = r"example 0 of split train .* has 8x16 pixels as its EXIF .* 16x8; set config\.data\.im"
    with pytest.raises(UserError, match=words):
        load(folder)
    assert load(folder, image_size=8).image_shape == (8, 8, 3)


@pytest.mark.parametrize("share", [0, 0.1, 0.99])
def test_cut_parquet(prepare, share):
    folder = prepare(file_format="parquet")
    file = next(folder.glob("mine-train*"))
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="cannot read split train"):
        load(folder)


def test_a_folder_with_brackets_in_its_name(tmp_path):
    with pytest.raises(UserError, match=r"config\.data\.data_dir=.*\[1\]/mine has brackets"):
        load(tmp_path / "data[1]/mine/mine/1.0.0")


@pytest.mark.parametrize("is_newer", [False, True])
def test_a_version_that_was_not_prepared_whole(prepare, is_newer):
    folder = prepare()
    if is_newer:
        (folder.parent / "2.0.0").mkdir()
    else:
        (folder / "features.json").unlink()
    with pytest.raises(UserError, match=r"/mine holds no set that is prepared whole"):
        load(folder)
