"""Where the images of Galaxy Zoo 2 may lie, and what may be missing or wrong."""

import shutil

import numpy as np
import pytest
from galaxies import images_of, load, rows_of, zipped

from vitjax.errors import UserError


def unpacked(folder, below):
    (folder / below).parent.mkdir(parents=True, exist_ok=True)
    (folder / "images").rename(folder / below)
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
