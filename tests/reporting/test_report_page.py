"""The page as a browser and a screen reader find it."""

import functools
import html.parser
import re
import shutil
import subprocess

import numpy as np
import pytest
from made_up import NAMES, report_data

from vitjax.reporting.page import page_text
from vitjax.reporting.report_page import headline, run_section, sections, write_report

VOID = {"meta", "img"}
KINDS = {
    "vit": dict(corrupted=True),
    "vit of 100 classes": dict(num_classes=100),
    "compact vit": dict(stem="conv3x3", pool="attention", num_registers=1, layer_scale=0.5),
    "linformer": dict(model_name="linformer", k_dim=2, pool="mean"),
    "mixer": dict(model_name="mixer", wrong=0),
    "resnet": dict(model_name="resnet"),
    "vgg": dict(model_name="vgg"),
    "swin": dict(model_name="swin"),
}


class Page(html.parser.HTMLParser):
    """Elements as (name, attributes, text), in order; fails where end tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for _, _, text in self._open:
            text.append(data)

    def all(self, *names):
        return [(attributes, "".join(text)) for n, attributes, text in self.elements if n in names]


@functools.cache
def rendered(kind):
    """The page of made-up data, as text."""
    made_up = report_data(**KINDS[kind])
    parts = sections(made_up, num_mistakes=4, chosen=np.array([0, 9]))
    return page_text("Title", [headline(made_up.evaluation)], parts)


@functools.cache
def parsed_page(kind):
    return Page(rendered(kind))


@pytest.fixture(params=KINDS)
def parsed(request):
    return parsed_page(request.param)


def test_pictures_have_a_text(parsed):
    assert all(attributes["alt"] for attributes, _ in parsed.all("img"))
    captions = {a["id"]: text for a, text in parsed.all("figcaption") if "id" in a}
    drawings = [attributes for attributes, _ in parsed.all("svg")]
    assert len(drawings) >= 8  # four curves, two by class, one of calibration, filters
    assert all(a["role"] == "img" and captions[a["aria-labelledby"]] for a in drawings)


def test_tables_say_what_heads_what(parsed):
    assert all(a["scope"] in ("row", "col") for a, _ in parsed.all("th"))
    assert len(parsed.all("caption")) == len(parsed.all("table")) > 4


def test_headings_are_in_order(parsed):
    levels = [int(name[1]) for name, _, _ in parsed.elements if re.fullmatch(r"h\d", name)]
    assert levels == [1] + [2] * 10
    assert parsed.all("html")[0][0]["lang"] == "en"


def test_anchors_and_labels_lead_somewhere(parsed):
    ids = [attributes["id"] for _, attributes, _ in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes, _ in parsed.elements:
        target = attributes.get("href", attributes.get("xlink:href", "#main"))
        assert target[1:] in ids or target.startswith("data:image/png;base64,")
        assert attributes.get("aria-labelledby", "main") in ids


def test_nothing_is_fetched(parsed):
    for _, attributes, _ in parsed.elements:
        for name, value in attributes.items():
            assert "://" not in (value or "") or name.startswith("xmlns")
    assert not parsed.all("script", "link", "iframe")


def test_names_are_text():
    text = parsed_page("vit").all("body")[0][1]
    assert all(name in text for name in NAMES)
    assert "python -m vitjax.main \\\n    '--x=<script>'" in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("vit", "4 of 5 mistakes"),
        ("vit", "those of the class token"),
        ("vit", "with the temperature fitted on validation"),
        ("compact vit", "those of all tokens, weighted as the head does"),
        ("compact vit", "of the stem's 64 filters of 3x3 pixels"),
        ("linformer", "attends to 2 sums of tokens"),
        ("linformer", "those of all tokens"),
        ("mixer", "Mixer has no attention maps: its token MLPs mix patches alike"),
        ("mixer", "Every image is classified rightly"),
        ("mixer", "position_embedding is 'none'"),
        ("resnet", "ResNet has no attention maps: its convolutions mix"),
        ("resnet", "All of the stem's 4 filters of 7x7 pixels"),
        ("vgg", "VGG has no attention maps: its convolutions mix"),
        ("vgg", "All of the stem's 4 filters of 3x3 pixels"),
        ("vgg", "its hidden layers have weights for each position"),
        ("swin", "Swin has no attention maps: it attends within windows"),
        ("swin", "a bias for each distance within a window"),
        ("vit of 100 classes", "the 20 lowest and 20 highest of 100 classes"),
        ("vit of 100 classes", "96.88%"),  # top-5
    ],
)
def test_sections_say_what_holds(kind, words):
    assert words in parsed_page(kind).all("body")[0][1]


def test_files_lie_beside_the_page_and_old_ones_are_gone(tmp_path):
    (tmp_path / "mistake_99.png").write_bytes(b"old")
    path = write_report(tmp_path, report_data(), num_mistakes=2, chosen=np.array([3]))
    assert path == tmp_path / "index.html"
    names = {path.name for path in tmp_path.iterdir()}
    expected = {"index.html", "mistake_02.png", "attention_01.png", "confusion_matrix.png"}
    assert expected <= names
    assert not names & {"mistake_99.png", "mistake_03.png", "index.html.tmp"}
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_run_that_no_command_began_is_shown():
    section = run_section(
        {"config": {"model_name": "vit", "seed": 7}, "command": "vitjax.train(config)",
         "versions": {}},
        {"name": "made_up", "class_names": NAMES, "image_shape": [8, 8, 3], "num_examples": {}},
        {"num_epochs_run": 1, "epoch": 1}, [],
    )  # fmt: skip
    assert "<code>vitjax.train(config)</code>" in section.items[2]
    assert ">hardware</th><td>not recorded</td>" in section.items[0]  # as in older runs


@pytest.fixture
def console(tmp_path):
    """Opens a page from a file in a browser: its text -> (DOM, lines of the console)."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium to open the page with")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    path = tmp_path / "index.html"

    def opened(text):
        path.write_text(text)
        done = subprocess.run(
            [browser, *flags, f"--user-data-dir={tmp_path}", "--dump-dom", path.as_uri()],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]

    return opened


@pytest.mark.parametrize("kind", ["vit", "mixer"])
def test_a_browser_finds_nothing_wrong(kind, console):
    dom, errors = console(rendered(kind))
    assert errors == []
    assert "Parameters, MACs and speed</h2>" in dom


def test_a_browser_would_find_a_bad_drawing(console):
    text = rendered("vit").replace('<path d="M', '<path d="x', 1)
    (error,) = console(text)[1]
    assert "Expected moveto" in error
