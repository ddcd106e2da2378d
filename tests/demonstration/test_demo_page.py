"""The page in a browser without a window, as its user sees it."""

import base64
import functools
import http.server
import io
import re
import shutil
import signal
import subprocess
import threading

import numpy as np
import pytest
from commands import command, environment, main, main_in_process_of_its_own
from PIL import Image
from strokes import STROKES

from vitjax.demonstration.recognizer import Recognizer
from vitjax.inference.predictor import load_predictor

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra [test] is not installed")
pytestmark = pytest.mark.slow
PRESSED = {"ArrowDown": 12, "ArrowRight": 6}


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium in PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def start(workdir):
    """Starts the page of a run; returns its process and its address."""
    process = subprocess.Popen(
        command(f"--workdir={workdir}", "--port=0", module="vitjax.demo"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    for line in process.stdout:
        if address := re.match(r"(http://127\.0\.0\.1:\d+) ", line):
            return process, address[1]
    raise AssertionError(process.wait())


def opened(browser, address, **options):
    """A tab with the page; it fails on any error that the browser tells."""
    page = browser.new_page(**options)
    page.told = []
    page.on("pageerror", lambda error: page.told.append(str(error)))
    page.on("console", lambda line: page.told.append(line.text))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    return page


@pytest.fixture(scope="module")
def address(digits_run):
    process, address = start(digits_run)
    yield address
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


@pytest.fixture
def page(chromium, address):
    page = opened(chromium, address)
    yield page
    page.close()


def draw(page, strokes):
    box = page.locator("#pad").bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()


def answer(page):
    """The class that the page says, once it has said one."""
    said = page.locator("#spoken")
    sync_api.expect(said).to_have_text(re.compile(r"^\w+, \d+\.\d %$"))
    page.wait_for_timeout(700)  # for the last stroke's
    return said.inner_text().partition(",")[0]


def test_draws_undoes_and_clears(page):
    draw(page, STROKES["4"])
    answer(page)
    assert page.locator("#classes li").count() == 5
    page.click("#undo")
    answer(page)
    page.click("#clear")
    sync_api.expect(page.locator("#spoken")).to_have_text("Nothing was shown yet.")
    assert page.locator("#found").is_hidden()
    assert page.told == []


def test_draws_by_keyboard(page):
    page.focus("#pad")
    page.keyboard.press("Space")
    for key, times in PRESSED.items():
        for _ in range(times):
            page.keyboard.press(key)
    page.keyboard.press("Space")
    answer(page)
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("#spoken")).to_have_text("Nothing was shown yet.")
    assert page.told == []


def test_takes_files_and_says_what_is_none(page, tmp_path):
    Image.fromarray(np.full((50, 40, 3), 200, np.uint8)).save(tmp_path / "photo.jpg")
    (tmp_path / "text.png").write_text("no image")
    page.set_input_files("#file", tmp_path / "photo.jpg")
    answer(page)
    page.set_input_files("#camera", tmp_path / "text.png")
    sync_api.expect(page.locator("#spoken")).to_have_text("this cannot be read: no image")
    assert "error" in page.locator("#spoken").get_attribute("class")


@pytest.mark.parametrize("width", [320, 375, 1200])
def test_nothing_is_wider_than_the_screen(chromium, address, width):
    page = opened(chromium, address, viewport={"width": width, "height": 700})
    draw(page, STROKES["8"])
    answer(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.long
def test_reads_nine_of_ten_drawn_digits(chromium, real_data, tmp_path):
    main_in_process_of_its_own(
        "--config=configs/vit_mnist.py",
        f"--config.data.data_dir={real_data('tfds')}",
        "--config.data.max_examples=20000",
        "--config.num_epochs=3",
        f"--workdir={tmp_path / 'run'}",
    )
    process, address = start(tmp_path / "run")
    page = opened(chromium, address)
    found = {}
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        found[digit] = answer(page)
        page.click("#clear")
        sync_api.expect(page.locator("#spoken")).to_have_text("Nothing was shown yet.")
    process.terminate()
    assert process.wait(30) == 143
    assert sum(digit == said for digit, said in found.items()) >= 9, found
    assert page.told == []


@pytest.fixture(scope="module")
def static_page(digits_run, tmp_path_factory):
    """The folder of a page without a server, and its address at a file server."""
    if not shutil.which("npm"):
        pytest.skip("there is no npm in PATH to get onnxruntime-web")
    folder = tmp_path_factory.mktemp("static") / "page"
    _, err = main(f"--workdir={digits_run}", f"--static={folder}", module="vitjax.demo")
    assert err == ""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *words: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_browser_computes_what_the_server_does(chromium, static_page, digits_run, tmp_path):
    """A drawing and a photograph: the image is within 2 levels, probabilities within 1 %."""
    recognizer = Recognizer(load_predictor(digits_run))
    photo = np.random.RandomState(0).normal(190, 4, (90, 70)).clip(0, 255).astype(np.uint8)
    photo[20:70, 30:38] = 30
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page = opened(chromium, static_page)
    asks = """async ([text, isDrawing]) => {
        const { recognize } = await import("./remote.js");
        const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
        return recognize(new Blob([bytes]), isDrawing);
    }"""
    draw(page, STROKES["5"])
    answer(page)
    drawn = page.evaluate("document.getElementById('pad').toDataURL()").partition(",")[2]
    shown = base64.b64encode((tmp_path / "photo.png").read_bytes()).decode()
    for text, is_drawing in ((drawn, True), (shown, False)):
        content = base64.b64decode(text)
        (theirs,) = recognizer.recognize([recognizer.read(content, is_drawing)])
        ours = page.evaluate(asks, [text, is_drawing])
        with Image.open(io.BytesIO(base64.b64decode(ours["image"].partition(",")[2]))) as image:
            pixels = np.asarray(image.convert("L"), int)
        assert np.abs(pixels - theirs.image[..., 0].astype(int)).max() <= 2
        names = recognizer.predictor.class_names
        for found in ours["classes"]:
            expected = theirs.probabilities[names.index(found["name"])]
            assert abs(found["probability"] - expected) < 0.01
    assert page.told == []
    page.close()


def test_the_page_without_a_server_sends_nothing_elsewhere(chromium, static_page):
    page = chromium.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(static_page)
    page.wait_for_selector("body[data-ready]")
    draw(page, STROKES["2"])
    answer(page)
    assert "nothing leaves it" in page.locator("#about").inner_text()
    assert page.locator("#look").is_hidden()
    others = [url for url in asked if not url.startswith((static_page, "data:", "blob:"))]
    assert others == []
    assert not any("recognize" in url for url in asked)
    page.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--static={run}",), "exists, expected a new folder; change --static"),
        (("--static={run}/no/page",), "no is no folder; make it, or change --static"),
        (("--static=~nobody-here/page",), "~nobody-here is no folder; make it, or change"),
        (("--static={run}/page", "--runtime={run}"), "has no dist/ort.wasm.min.mjs; expected"),
    ],
)
def test_a_page_that_cannot_be_written(digits_run, words, message):
    words = [word.format(run=digits_run) for word in words]
    _, err = main(f"--workdir={digits_run}", *words, module="vitjax.demo", code=1)
    assert message in err
    assert not (digits_run / "page").exists()


def test_a_disk_that_is_full_is_said(digits_run, tmp_path, monkeypatch):
    def fail(*names):
        raise OSError(28, "No space left on device", str(names[-1]))

    monkeypatch.setattr("vitjax.demonstration.static.shutil.copy", fail)
    page = tmp_path / "page"
    _, err = main(f"--workdir={digits_run}", f"--static={page}", module="vitjax.demo", code=1)
    assert err == f"error: cannot write --static={page}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []
