"""The page in a browser without a window, as its user sees it."""

import re
import shutil
import signal
import subprocess

import numpy as np
import pytest
from commands import command, environment, main_in_process_of_its_own
from PIL import Image
from strokes import STROKES

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
