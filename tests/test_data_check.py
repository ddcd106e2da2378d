"""Reading all images of a data set once: what is wrong with them, or odd."""

import json
import sys

import numpy as np
import pytest
from commands import main
from PIL import Image

from vitjax.data.readers.galaxy_zoo2 import synthetic

rng = np.random.default_rng(0)


def check(*args, code=0, err=""):
    out, error = main("--data", *args, module="vitjax.check", code=code)
    assert err in error
    return out


def of(name, folder, *more):
    return f"--config.data.name={name}", f"--config.data.data_dir={folder}", *more


def noise(height=8, width=6, channels=3):
    pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def tidy(tmp_path):
    """Twelve images of each of two classes."""
    for label in ("cat", "dog"):
        for i in range(12):
            save(noise(), tmp_path / "tidy" / label / f"{i}.png")
    return tmp_path / "tidy"


FITTING = "--config.data.batch_size=8", "--config.data.valid_fraction=0.3"


def told(out):
    """The errors and warnings of an output."""
    return [line for line in out.splitlines() if line.startswith(("error ", "warning "))]


def findings_of(folder, *words, name="folder", code=0):
    file = folder.parent / "found.json"
    out = check(*of(name, folder, *FITTING, *words), f"--json={file}", code=code)
    return told(out), json.loads(file.read_text())


def test_nothing_is_amiss_with_the_digits():
    assert check().splitlines()[-1] == "no errors, no warnings"


def test_nothing_is_amiss_in_a_tidy_folder(tidy):
    out = check(*of("folder", tidy, *FITTING, "--config.data.image_size=8"))
    assert told(out) == []


def test_damaged_and_missing_files_are_all_listed(tidy):
    (tidy / "cat" / "3.png").write_bytes(b"no image")
    whole = (tidy / "dog" / "5.png").read_bytes()
    (tidy / "dog" / "5.png").write_bytes(whole[:-30])
    save(Image.fromarray(np.ones((8, 6), np.int32)), tidy / "dog" / "32bit.tif")
    lines = ["path,label"]
    lines += [f"{path.relative_to(tidy)},{path.parent.name}" for path in tidy.glob("*/*")]
    (tidy / "all.csv").write_text("\n".join([*lines, "cat/gone.png,cat"]))
    words = ["--config.data.valid_fraction=0", "--config.data.max_examples=0"]
    _, found = findings_of(tidy / "all.csv", *words, name="csv", code=1)
    reasons = {image["id"]: image["reason"] for image in found["damaged"]}
    assert set(reasons) == {"cat/3.png", "dog/5.png", "dog/32bit.tif", "cat/gone.png"}
    assert reasons["cat/3.png"] == "no image"
    assert reasons["cat/gone.png"] == "no such file"
    assert "32-bit pixels" in reasons["dog/32bit.tif"]
    assert sum(of["damaged"] for of in found["splits"].values()) == 4
    assert all("cannot be read" in text for text in found["errors"])


def test_sizes_may_differ_where_a_run_makes_them_equal(tidy):
    save(noise(20, 10), tidy / "cat" / "large.png")
    lines, found = findings_of(tidy, "--config.data.image_size=0", code=1)
    assert lines[0].startswith(
        "error     images differ in size, from 8 to 20 rows and from 6 to 10"
    )
    assert findings_of(tidy, "--config.data.image_size=8")[0] == []
    sizes = [of["heights"] for of in found["splits"].values()]
    assert max(of["max"] for of in sizes) == 20
    assert {of["median"] for of in sizes} == {8}


def test_the_same_pixels_are_found_whatever_the_files_are(tmp_path):
    for split in ("train", "valid", "test"):
        for label in ("cat", "dog"):
            for i in range(4):
                save(noise(), tmp_path / "pets" / split / label / f"{i}.png")
    twin = noise()
    save(twin, tmp_path / "pets/train/cat/0.png")
    save(twin, tmp_path / "pets/train/cat/again.bmp")
    save(twin.convert("RGBA"), tmp_path / "pets/test/dog/0.tiff")
    turned = Image.Exif()
    turned[0x0112] = 3
    save(twin.rotate(180), tmp_path / "pets/valid/cat/0.png", exif=turned)
    lines, found = findings_of(tmp_path / "pets", "--config.data.image_size=8")
    assert lines == [
        "warning   1 of 9 images of test is in train too (test/dog/0.tiff = train/cat/0.png)",
        "warning   1 of 9 images of test is in valid too (test/dog/0.tiff = valid/cat/0.png)",
        "warning   1 of 8 images of valid is in train too (valid/cat/0.png = train/cat/0.png)",
        "warning   1 image is there under several labels (train/cat/0.png (cat) = "
        "test/dog/0.tiff (dog))",
        "warning   1 of 9 images of train is a copy of an earlier one",
    ]
    (group,) = found["repeats"]
    assert [image["id"] for image in group] == [
        *("train/cat/0.png", "train/cat/again.bmp", "valid/cat/0.png", "test/dog/0.tiff")
    ]
    assert found["splits"]["valid"]["orientations"] == {"1": 7, "3": 1}


def test_kinds_of_images_are_counted(tidy):
    save(noise(channels=1), tidy / "cat" / "gray.png")
    save(noise(channels=4), tidy / "cat" / "transparent.png")
    opaque = noise()
    opaque.putalpha(255)
    save(opaque, tidy / "cat" / "opaque.png")
    deep = Image.fromarray(np.arange(48, dtype=np.uint16).reshape(8, 6) * 1000)
    save(deep, tidy / "cat" / "deep.png", transparency=7000)
    save(Image.new("P", (6, 8), 3), tidy / "cat" / "palette.png")
    lines, found = findings_of(tidy, "--config.data.image_size=8", "--config.data.valid_fraction=0")
    splits = found["splits"].values()
    modes = {}
    for mode, count in (pair for of in splits for pair in of["modes"].items()):
        modes[mode] = modes.get(mode, 0) + count
    assert modes == {"RGB": 24, "L": 1, "RGBA": 2, "P": 1, "I;16": 1}
    assert sum(of["transparent"] for of in splits) == 2
    assert [image["id"] for image in found["constant"]] == ["cat/palette.png"]
    (line,) = lines
    assert line.endswith("is of one colour throughout (train:cat/palette.png)")


def test_classes_are_counted_in_each_split(tmp_path):
    for split, labels in (("train", ("cat", "dog")), ("valid", ("cat", "dog")), ("test", ("dog",))):
        for label in labels:
            for i in range(5):
                save(noise(), tmp_path / "pets" / split / label / f"{i}.png")
    lines, found = findings_of(tmp_path / "pets", "--config.data.image_size=8")
    assert lines == ["warning   test has no image of 1 class: cat"]
    assert found["splits"]["test"]["classes"] == {"cat": 0, "dog": 5}


def test_class_names_that_look_alike_are_told(tmp_path):
    file, labels = tmp_path / "toy.npz", np.arange(40) % 2
    images = rng.integers(0, 256, (40, 6, 5), dtype=np.uint8)
    np.savez(file, x_train=images, y_train=labels, class_names=["caf\u00e9", "cafe\u0301"])
    lines, _ = findings_of(file, name="npz")
    assert lines == [
        r"warning   2 of 2 classes have names that look alike ('caf\xe9' = 'cafe\u0301'); write "
        "them in one way if they are one"
    ]


def test_a_list_that_is_a_copy_is_found(tidy):
    lines = ["path,label"]
    lines += [f"{path.relative_to(tidy)},{path.parent.name}" for path in tidy.glob("*/*")]
    for split in ("train", "test"):
        (tidy / f"{split}.csv").write_text("\n".join(lines))
    words = "--config.data.image_size=8", "--config.data.valid_fraction=0"
    (line,), _ = findings_of(tidy, *words, name="csv")
    assert line.startswith("warning   24 of 24 images of test are in train too: one may be a copy")


def test_arrays_are_looked_at_as_they_are(tmp_path):
    images = rng.integers(0, 256, (40, 6, 5), dtype=np.uint8)
    images[7], images[9] = 255, images[11]
    file = tmp_path / "toy.npz"
    labels = np.arange(40) % 2
    np.savez(file, train_images=images[:30], train_labels=labels[:30],
             test_images=images[10:12], test_labels=labels[10:12])  # fmt: skip
    words = "--config.data.valid_fraction=0", "--config.data.image_size=8"
    lines, found = findings_of(file, *words, name="npz")
    assert lines[0].startswith("warning   2 of 2 images of test are in train too: one may be")
    assert [image["id"] for image in found["constant"]] == ["train/7"]
    assert found["splits"]["train"]["heights"] == {"min": 6, "median": 6, "max": 6}
    assert found["splits"]["train"]["modes"] == {"L": 30}


def test_only_what_a_run_reads_is_looked_at(tidy):
    _, found = findings_of(tidy, "--config.data.max_examples=20", "--config.data.image_size=8")
    assert sum(of["num_images"] for of in found["splits"].values()) == 20


def test_damaged_galaxies_are_all_named(tmp_path):
    folder = tmp_path / "galaxies"
    synthetic.write(folder, 60)
    for file in sorted((folder / "images").iterdir())[:3]:
        file.write_bytes(file.read_bytes()[:2000])
    _, found = findings_of(folder, name="galaxy_zoo2", code=1)
    assert len(found["damaged"]) == 3
    assert all("truncated" in image["reason"] for image in found["damaged"])
    assert found["splits"]["train"]["modes"].keys() == {"RGB"}


def test_a_prepared_set_of_tfds(real_data):
    words = of("mnist", real_data("tfds"), "--config.data.max_examples=500")
    assert told(check(*words)) == []


def test_what_cannot_be_listed_is_an_error(tmp_path):
    out = check(*of("folder", tmp_path / "gone"), code=1, err="error: there is no folder")
    assert "problem   there is no folder" in out


def test_files_to_write_need_data_and_a_folder(tmp_path):
    words = "--html=/no/page.html", "--config=configs/vit_digits.py"
    _, error = main(*words, module="vitjax.check", code=1)
    assert error == "error: --json and --html are for what --data finds; add --data\n"
    check(*words, code=1, err="error: there is no folder /no to write page.html into")


@pytest.fixture
def hostile(tmp_path):
    """A folder whose names are markup, or no text at all."""
    folder = tmp_path / "<b>pets</b>"
    image = noise()
    for label in ("<script>alert(1)</script>", "dog & \n cat"):
        for i in range(8):
            save(noise(), folder / label.replace("/", "") / f"{i}.png")
        save(image, folder / label.replace("/", "") / "'\"><img src=x>.png")
        save(Image.new("RGB", (6, 8), "red"), folder / label.replace("/", "") / "\x1b[31m.png")
        (folder / label.replace("/", "") / "&amp;.png").write_bytes(b"")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows has not")
def test_the_page_escapes_all_names(hostile, tmp_path):
    page = tmp_path / "page.html"
    size = "--config.data.image_size=8"
    out = check(*of("folder", hostile, *FITTING, size), f"--html={page}", code=1)
    assert "\x1b" not in out
    text = page.read_text()
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)&lt;script&gt;" in text
    assert "&amp;amp;.png" in text
    assert text.count("data:image/png;base64,") >= 2
    assert "http:" not in text.replace("http://www.w3.org", "")


@pytest.mark.skipif(sys.platform != "linux", reason="names that other systems have not")
def test_names_that_are_no_text(tidy, tmp_path):
    (tidy / "cat" / "0.png").rename(tidy / "cat" / "\udcff.png")
    save(Image.open(tidy / "cat" / "1.png"), tidy / "cat" / "2.png")
    (tidy / "cat" / "\udcff.png").write_bytes(b"")
    page = tmp_path / "page.html"
    findings_of(tidy, f"--html={page}", "--config.data.image_size=8", code=1)
    assert r"\udcff.png" in page.read_text()
