import sys

import numpy as np
import pytest
from PIL import Image

from vitjax import data
from vitjax.data.readers import folder
from vitjax.data.readers.image_files import ReadOptions, Wanted
from vitjax.errors import UserError


def save(path, value=0, size=(6, 6), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def read(root, on_status=lambda line: None, **options):
    return folder.read(
        Wanted("folder", str(root), options=ReadOptions(**options), on_status=on_status)
    )


@pytest.fixture
def pets(tmp_path):
    for i in range(3):
        save(tmp_path / "dog" / f"{i}.png", (i, 0, 0))
        save(tmp_path / "cat" / f"{i}.png", (i, 1, 0))
    return tmp_path


def test_classes_are_sorted_folders(pets):
    dataset = read(pets)
    train = dataset.splits["train"]
    assert dataset.class_names == ("cat", "dog")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.ids[0] == "cat/0.png"
    assert train.images[4].reshape(-1, 3).tolist() == [[1, 0, 0]] * 36


def test_any_extension_in_any_case(pets):
    for name in ("a.JPG", "b.jpeg", "c.Bmp", "d.gif", "e.webp", "f.TIFF"):
        save(pets / "cat" / name)
    assert len(read(pets).splits["train"]) == 12


def test_ignores_hidden_and_other_files(pets):
    (pets / ".cache").mkdir()
    (pets / "README.txt").write_text("pets")
    (pets / "cat" / ".hidden.png").write_text("no image")
    (pets / "cat" / "notes.txt").write_text("no image")
    assert len(read(pets).splits["train"]) == 6


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "lost+found", "System Volume Information"])
def test_folders_of_systems_are_no_classes(pets, name):
    save(pets / name / "cat" / "0.png")
    save(pets / name / "0.png")
    assert read(pets).class_names == ("cat", "dog")


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows has not")
def test_says_what_is_left_out(pets):
    (pets / "cat" / "gone.png").symlink_to("nowhere.png")
    (pets / "cat" / "more").mkdir()
    for name in ("cat/a.HEIC", "dog/b.heic", "dog/c", "dog/\x1b.d\n", "dog/Thumbs.db"):
        (pets / name).write_bytes(b"")
    said = []
    assert len(read(pets, said.append).splits["train"]) == 6
    assert said[0].startswith(
        f"left out 6 entries of {pets}: .heic 2, .d\\n 1, folder 1, link that leads nowhere 1, "
        "without suffix 1; what is read are files whose suffix"
    )


def test_says_nothing_where_nothing_is_left_out(pets):
    (pets / "cat" / ".DS_Store").write_bytes(b"")
    said = []
    read(pets, said.append)
    assert said == ["reading folder/train: 6 images"]


def test_says_which_folders_beside_train_are_no_splits(tmp_path):
    for name in ("train", "test", "testing", "eval", ".cache", "__MACOSX"):
        save(tmp_path / name / "cat" / "0.png")
    said = []
    assert set(read(tmp_path, said.append).splits) == {"train", "test"}
    assert said[0].startswith(f"left out eval, testing beside train in {tmp_path}; what is read is")


def save_16_bits(path, brightest):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.linspace(0, brightest, 36).astype(np.uint16).reshape(6, 6)
    Image.fromarray(pixels).save(path)


def test_twelve_bits_in_files_of_sixteen_are_told(tmp_path):
    for name in ("cat", "dog"):
        save_16_bits(tmp_path / name / "0.png", 4095)
    said = []
    train = read(tmp_path, said.append).splits["train"]
    assert train.images.max() == 15
    assert said[0] == (
        "warning   2 images that were looked at have 16 bits and no pixel above 4,095 of 65,535: "
        "16 levels of gray will be left of them; multiply the pixels by 16"
    )


@pytest.mark.parametrize("brightest", [2**14, 65535])
def test_sixteen_bits_that_are_used_are_not_told(tmp_path, brightest):
    save_16_bits(tmp_path / "cat" / "0.png", 4095)
    save_16_bits(tmp_path / "dog" / "0.tif", brightest)
    said = []
    read(tmp_path, said.append)
    assert not any("16 bits" in line for line in said)


@pytest.mark.parametrize("valid", ["valid", "val", "validation", "Val"])
def test_splits(tmp_path, valid):
    for split, count in (("train", 3), (valid, 2), ("test", 1)):
        for i in range(count):
            save(tmp_path / split / "cat" / f"{i}.png")
            save(tmp_path / split / "dog" / f"{i}.png")
    dataset = read(tmp_path)
    assert {k: len(v) for k, v in dataset.splits.items()} == {"train": 6, "valid": 4, "test": 2}


def test_a_split_may_lack_a_class(pets, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    pets.rename(root / "train")
    save(root / "test" / "dog" / "0.png")
    assert read(root).splits["test"].labels.tolist() == [1]


def test_class_that_train_lacks(tmp_path):
    save(tmp_path / "train" / "cat" / "0.png")
    save(tmp_path / "test" / "cow" / "0.png")
    with pytest.raises(UserError, match="cow is a class that train lacks; expected cat"):
        read(tmp_path)


def test_a_class_that_looks_like_one_of_train_is_told(tmp_path):
    """As a Mac, or a zip file, composes letters otherwise."""
    save(tmp_path / "train" / "caf\u00e9" / "0.png")
    save(tmp_path / "test" / "cafe\u0301" / "0.png")
    words = (
        r"that look alike \('caf\\xe9' = 'cafe\\u0301'\); write them in one way if they are one, or"
    )
    with pytest.raises(UserError, match=words):
        read(tmp_path)


def test_gray_stays_gray_only_if_all_are(tmp_path):
    root = tmp_path
    save(root / "cat" / "0.png", 7, mode="L")
    save(root / "dog" / "0.png", 1, mode="1")
    assert read(root).image_shape == (6, 6, 1)
    save(root / "dog" / "1.png", (1, 2, 3))
    assert read(root).image_shape == (6, 6, 3)
    assert read(root, channels=1).image_shape == (6, 6, 1)


def test_modes_become_rgb(pets):
    save(pets / "cat" / "z.png", (9, 8, 7, 255), mode="RGBA")
    save(pets / "cat" / "y.png", (9, 8, 7), mode="P")
    assert read(pets).image_shape == (6, 6, 3)


def test_what_is_transparent_becomes_white(pets):
    save(pets / "cat" / "z.png", (9, 8, 7, 0), mode="RGBA")
    save(pets / "cat" / "y.png", (100, 0, 0, 51), mode="RGBA")  # a fifth: 255 - 0.2 * (255 - 100)
    images = read(pets).splits["train"].images
    assert images[4, 0, 0].tolist() == [255, 255, 255]
    assert images[3, 0, 0].tolist() == [224, 204, 204]


@pytest.mark.parametrize("name", ["0.jpg", "0.png", "0.webp", "0.tif"])
@pytest.mark.parametrize("options", [{}, {"size": 6, "channels": 3}])
def test_photographs_are_turned_as_their_exif_data_say(tmp_path, options, name):
    pixels = np.zeros((6, 12, 3), np.uint8)
    pixels[:, 6:] = 255  # dark on the left, light on the right
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    (tmp_path / "cat").mkdir()
    Image.fromarray(pixels).save(tmp_path / "cat" / name, exif=exif, quality=95)
    image = read(tmp_path, **options).splits["train"].images[0]
    assert image.shape == ((12, 6, 3) if not options else (6, 6, 3))
    half = len(image) // 2
    assert image[: half - 1].max() < 30
    assert image[half + 1 :].min() > 225


def test_a_png_file_may_say_behind_its_pixels_how_it_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "cat").mkdir()
    path = tmp_path / "cat" / "0.png"
    Image.new("RGB", (12, 6)).save(path, exif=exif)
    content = path.read_bytes()
    start, pixels, end = (content.index(kind) - 4 for kind in (b"eXIf", b"IDAT", b"IEND"))
    path.write_bytes(content[:start] + content[pixels:end] + content[start:pixels] + content[end:])
    assert read(tmp_path).image_shape == (12, 6, 3)


def test_rectangles_stay(tmp_path):
    save(tmp_path / "cat" / "0.png", size=(8, 5))
    assert read(tmp_path).image_shape == (5, 8, 3)


def test_sizes_differ(pets):
    save(pets / "dog" / "9.png", size=(8, 5))
    with pytest.raises(UserError, match=r"6x6 .*9\.png has 8x5; set config\.data\.image_size"):
        read(pets)
    assert read(pets, size=4).image_shape == (4, 4, 3)


def test_order_is_the_same_each_time(pets):
    for i in range(60):
        save(pets / "cat" / f"n{i}.png", (i, i, i))
    first, second = read(pets).splits["train"], read(pets).splits["train"]
    np.testing.assert_array_equal(first.ids, second.ids)
    np.testing.assert_array_equal(first.images, second.images)


@pytest.mark.parametrize("options", [{}, {"size": 4, "channels": 3}])
def test_names_all_damaged_files(pets, options):
    for i in range(12):
        (pets / "cat" / f"bad{i:02}.png").write_bytes(b"no image")
    whole = (pets / "dog" / "0.png").read_bytes()
    (pets / "dog" / "cut.png").write_bytes(whole[:45])
    with pytest.raises(UserError, match=r"cannot read 13 .*bad00\.png.*bad09.*and 3 more") as error:
        read(pets, **options)
    assert "\n" not in str(error.value)


def test_cut_in_the_pixels(pets):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    path = pets / "cat" / "cut.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cannot read 1 .*cut\.jpg.*truncated"):
        read(pets, size=6)


def test_all_damaged(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(UserError, match="cannot read 1 image"):
        read(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere; set config\.data\.data_dir"):
        read(tmp_path / "nowhere")


def test_no_folder_given():
    with pytest.raises(UserError, match=r"set config\.data\.data_dir"):
        folder.read(Wanted("folder"))


def test_empty_folder(tmp_path):
    with pytest.raises(UserError, match="is empty, expected a folder per class"):
        read(tmp_path)


def test_images_without_class_folders(tmp_path):
    save(tmp_path / "0.png")
    with pytest.raises(UserError, match="1 files but no folder per class"):
        read(tmp_path)


def test_class_without_images(pets):
    (pets / "cow").mkdir()
    with pytest.raises(UserError, match="cow holds no image, expected"):
        read(pets)
    (pets / "cow" / "0.heic").write_bytes(b"")
    with pytest.raises(UserError, match=r"cow holds no image \(but .heic 1\), expected"):
        read(pets)


def test_test_without_train(tmp_path):
    save(tmp_path / "test" / "cat" / "0.png")
    with pytest.raises(UserError, match="holds test but no folder train"):
        read(tmp_path)


def test_two_folders_for_one_split(tmp_path):
    for split in ("train", "val", "valid"):
        save(tmp_path / split / "cat" / "0.png")
    with pytest.raises(UserError, match="both val and valid"):
        read(tmp_path)


@pytest.mark.parametrize("loop", ["loop", "cat/loop.png"])
def test_a_link_that_leads_nowhere(pets, loop):
    (pets / loop).symlink_to((pets / loop).name)
    with pytest.raises(
        UserError, match=rf"cannot read .*{loop} \(.*symbolic links\); mend or remove"
    ):
        data.load("folder", data_dir=str(pets))
