"""The page without a server shows the model the pixels that a server would."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitjax
from vitjax.data.readers.pixels import to_array
from vitjax.demonstration import drawings

SCRIPTS = Path(vitjax.__file__).parent / "demonstration/page/static"
ASK = """
import { readFileSync } from "node:fs";
import { taken } from "./taken.js";
const { rgb, height, width, isDrawing, described } = JSON.parse(readFileSync(0));
console.log(JSON.stringify([...taken(Uint8Array.from(rgb), height, width, isDrawing, described)]));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page's scripts, where node takes them for modules."""
    if not shutil.which("node"):
        pytest.skip("there is no node in PATH to run the page's scripts")
    folder = shutil.copytree(SCRIPTS, tmp_path_factory.mktemp("page") / "static")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(ASK)
    return folder


def in_browser(folder, photo, is_drawing, described):
    """What `taken` makes of a photo uint8 [H, W, 3]."""
    height, width, _ = photo.shape
    question = {
        "rgb": photo.ravel().tolist(), "height": height, "width": width,
        "isDrawing": is_drawing, "described": described,
    }  # fmt: skip
    answer = subprocess.run(
        ["node", "ask.js"], cwd=folder, input=json.dumps(question), capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    return np.array(json.loads(answer.stdout)).reshape(described["image_shape"])


@pytest.mark.parametrize("fit", ["center_crop", "resize"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 20, 1)])
@pytest.mark.parametrize("size", [(33, 37), (34, 29), (20, 35), (1, 40)])
def test_a_photo_of_any_size(folder, size, shape, fit):
    photo = np.random.RandomState(0).randint(0, 256, (*size, 3), np.uint8)
    expected = to_array(Image.fromarray(photo), shape[:2], shape[2], fit).astype(int)
    described = {"image_shape": shape, "fit": fit, "draws": False}
    assert np.abs(in_browser(folder, photo, False, described) - expected).max() <= 2


@pytest.mark.parametrize("shape", [(28, 28, 1), (23, 23, 1), (28, 20, 1)])
@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_a_drawn_digit(folder, name, shape):
    drawing = np.zeros((90, 80, 3), np.uint8)
    drawing[20:70, 30:38] = 255
    digit = Image.fromarray(drawings.placed(drawing[..., 0], name))
    expected = to_array(digit, shape[:2], 1, "center_crop").astype(int)
    described = {"image_shape": shape, "fit": "center_crop", "draws": True, "data": name}
    assert np.abs(in_browser(folder, drawing, True, described) - expected).max() <= 2
