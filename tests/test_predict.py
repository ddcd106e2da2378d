"""python -m vitjax.predict on files of all kinds."""

import json
import os
import shutil

import commands
import numpy as np
import pytest
from PIL import Image

import vitjax

PIXELS = np.random.RandomState(0).randint(0, 256, (40, 50, 4), np.uint8)


@pytest.fixture
def images(tmp_path):
    """A folder with an RGBA, a gray and a damaged image, a text and a hidden file."""
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(PIXELS).save(folder / "a.png")
    Image.fromarray(PIXELS[..., 0]).save(folder / "b.jpg")
    (folder / "c.png").write_bytes((folder / "a.png").read_bytes()[:500])
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    return folder


def predict(run, *args, **options):
    return commands.main(f"--workdir={run}", *args, module="vitjax.predict", **options)


def test_a_folder_with_a_damaged_file(digits_run, images):
    out, err = predict(digits_run, images, "--json", "--top=2", code=1)
    found = [json.loads(line) for line in out.splitlines()]
    assert [entry["image"] for entry in found] == [str(images / "a.png"), str(images / "b.jpg")]
    expected = vitjax.load(digits_run).predict([images / "a.png", images / "b.jpg"], top=2)
    for entry, classes in zip(found, expected, strict=True):
        assert [c["class"] for c in entry["predictions"]] == [name for name, _ in classes]
        values = [c["probability"] for c in entry["predictions"]]
        assert values == pytest.approx([p for _, p in classes], rel=1e-4)
    (line,) = err.splitlines()
    assert line.startswith(f"error: {images / 'c.png'}: ")


def test_names_from_standard_input(digits_run, images):
    out, _ = predict(digits_run, "-", stdin=f"{images / 'a.png'}\n\n{images / 'b.jpg'}\n")
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        str(images / "a.png"),
        str(images / "b.jpg"),
    ]
    assert out.count("%") == 10


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "no image given"),
        (("missing.png",), "error: missing.png: No such file or directory"),
        (("x.png", "--step=7"), "step 7 has no checkpoint"),
    ],
)
def test_wrong_arguments(digits_run, args, message):
    _, err = predict(digits_run, *args, code=1)
    assert message in err
    assert "Traceback" not in err


def test_attention_is_drawn_in_a_new_folder(digits_run, images, tmp_path):
    predict(digits_run, images / "b.jpg", f"--attention={tmp_path / 'new' / 'out.png'}")
    with Image.open(tmp_path / "new" / "out.png") as picture:
        assert min(picture.size) > 300


def test_a_folder_on_standard_input_stands_for_its_images(digits_run, images):
    (images / "c.png").unlink()
    out, _ = predict(digits_run, "-", stdin=f"{images}\n")
    assert len(out.splitlines()) == 2


@pytest.mark.slow
def test_a_name_that_is_no_text_is_predicted(digits_run, images):
    odd = os.fsdecode(bytes(images) + b"/\xff.png")
    shutil.copy(images / "a.png", odd)
    words = (f"--workdir={digits_run}", odd, images / "a.png")
    out, _ = commands.main_in_process_of_its_own(
        *words, module="vitjax.predict", PYTHONIOENCODING="utf-8:strict"
    )
    assert "\\udcff.png  " in out.splitlines()[0]
    assert len(out.splitlines()) == 2
