"""The page's server, asked by an HTTP client in this process."""

import asyncio
import io
import re
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra [demo] is not installed")

from commands import main
from fastapi.testclient import TestClient

from vitjax.demonstration import about, app
from vitjax.demonstration.batching import Batcher
from vitjax.demonstration.mistakes import Mistakes, find_mistakes
from vitjax.demonstration.recognizer import Recognizer
from vitjax.errors import UserError
from vitjax.inference.predictor import load_predictor
from vitjax.reporting.predictions import Predictions


@pytest.fixture(scope="module")
def recognizer(digits_run):
    return Recognizer(load_predictor(digits_run))


@pytest.fixture(scope="module")
def client(recognizer):
    shown = app.Shown(recognizer, None, about.describe(recognizer))
    return TestClient(app.make_app(shown, ["localhost"]), base_url="http://localhost")


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawing():
    ink = np.zeros((280, 280), np.uint8)
    ink[40:240, 130:150] = 255
    return encoded(Image.fromarray(ink))


@pytest.mark.slow
def test_the_page_and_its_parts(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for name in re.findall(r'(?:href|src)="([\w.]+)"', page.text):
        assert client.get(f"/{name}").status_code == 200, name
    assert 'from "./pad.js"' in client.get("/page.js").text
    assert client.get("/about.json").json()["class_names"] == list("0123456789")


@pytest.mark.parametrize("path", ["/app.py", "/..%2fapp.py", "/page%2findex.html", "/no.html"])
def test_no_other_file_is_given(client, path):
    assert client.get(path).status_code == 404


def test_nothing_of_another_site_runs_on_it(client):
    for response in (client.get("/"), client.post("/recognize", content=drawing())):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    text = (app.PAGE / "index.html").read_text()
    assert not re.search(r"<script>|<style>| style=| on\w+=|https?://", text)


def test_another_name_for_this_machine_is_refused(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_says_what_is_drawn(client, recognizer):
    answer = client.post("/recognize?drawing=true", content=drawing()).json()
    image = recognizer.read(drawing(), is_drawing=True)
    probabilities = recognizer.predictor.predict(image[None])[0]
    best = probabilities.argmax()
    assert answer["classes"][0]["name"] == str(best)
    assert answer["classes"][0]["probability"] == pytest.approx(float(probabilities[best]), 1e-5)
    assert len(answer["classes"]) == 5
    assert answer["image"].startswith("data:image/png;base64,")
    side = recognizer.predictor.image_shape[0] // recognizer.predictor.model.patch_size
    assert np.shape(answer["attention"]) == (side, side)
    assert answer["mistakes"] == []


def test_an_image_of_the_runs_own_size_is_taken_as_it_is(recognizer):
    pixels = np.random.RandomState(0).randint(0, 256, recognizer.predictor.image_shape)
    image = pixels[..., 0].astype(np.uint8)
    found = recognizer.read(encoded(Image.fromarray(image)), is_drawing=False)
    np.testing.assert_array_equal(found[..., 0], image)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "this cannot be read: no image"),
        (b"<svg onload=alert(1)>", 400, "this cannot be read: no image"),
        (drawing()[:100], 400, "this cannot be read: "),
        (b"x" * (app.MAX_BYTES + 1), 413, "the file is larger than 20 MiB"),
        (encoded(Image.new("1", (8000, 8000))), 400, "an image of 8000 x 8000 pixels; expected at"),
    ],
    ids=["nothing", "svg", "cut", "large", "inflating"],
)
def test_hostile_files_are_answered_clearly(client, content, status, message):
    response = client.post("/recognize", content=content)
    assert response.status_code == status
    assert response.json()["error"].startswith(message)


def test_many_at_once_get_the_answers_of_their_own(recognizer):
    images = [
        np.full(recognizer.predictor.image_shape, value, np.uint8) for value in range(0, 250, 20)
    ]
    together = recognizer.recognize(images)
    for image, found in zip(images, together, strict=True):
        np.testing.assert_array_equal(found.image, image)
        alone = recognizer.predictor.predict(image[None])[0]
        np.testing.assert_allclose(found.probabilities, alone, atol=1e-5)


def test_requests_that_wait_are_answered_together():
    batches, begun, go_on = [], threading.Event(), threading.Event()

    def compute(asked):
        batches.append(list(asked))
        begun.set()
        go_on.wait(10)
        if "bad" in asked:
            raise UserError("bad")
        return [10 * number for number in asked]

    async def ask():
        batcher = Batcher(compute, limit=3)
        first = asyncio.create_task(batcher.ask(1))
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4, 5)]
        left = asyncio.create_task(batcher.ask(6))
        await asyncio.sleep(0)
        left.cancel()  # who asked has left
        go_on.set()
        found = [await task for task in (first, *others)]
        with pytest.raises(UserError, match="bad"):
            await batcher.ask("bad")
        return found, await batcher.ask(7)

    assert asyncio.run(ask()) == ([10, 20, 30, 40, 50], 70)
    assert batches[:2] == [[1], [2, 3, 4]]


def test_the_nearest_mistakes_have_the_most_alike_probabilities():
    rows = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    predictions = Predictions(
        rows, np.array([0, 1, 1, 0]), np.arange(4).astype(str), ("a", "b", "c")
    )
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    nearest = Mistakes(predictions, images).nearest(np.array([0.62, 0.38, 0.0]), 2)
    assert [(m.image.item(), m.truth, m.predicted) for m in nearest] == [
        (1, "b", "a"),
        (2, "b", "a"),
    ]
    right = predictions._replace(labels=np.array([0, 0, 0, 2]))
    assert Mistakes(right, images).nearest(rows[0], 2) == []


def test_says_why_no_mistakes_are_shown(own_run, capsys):
    said = []
    assert find_mistakes(load_predictor(own_run), said.append) is None
    assert f"python -m vitjax.evaluate --workdir={own_run}" in said[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--workdir"),
        (("--workdir=/no/run",), "/no/run"),
        (("--workdir=.", "--port=70000"), "port"),
    ],
)
def test_mistakes_of_the_command(words, message):
    _, err = main(*words, module="vitjax.demo", code=None)
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
