"""python -m vitjax.published, as a user types it."""

import functools
import json
import re
import shutil
from pathlib import Path

import pytest
from commands import REPO, main

from vitjax.errors import UserError
from vitjax.published import ledger, ledger_tables, recording, rows

KEYS = {
    "seed", "row", "family", "published_params", "params", "published_macs", "macs", "published",
    "measured", "config", "correction", "reason",
}  # fmt: skip


published = functools.partial(main, module="vitjax.published")


@pytest.fixture(scope="module")
def entries():
    """The objects of --json by (family, row): all of them, which takes half a minute."""
    lines = [json.loads(line) for line in published("--json")[0].splitlines()]
    return {(entry["family"], entry["row"]): entry for entry in lines}


@functools.cache
def entry_of(family, row):
    """The object of --json of one row."""
    lines = [json.loads(line) for line in published("--json", f"--row={row}")[0].splitlines()]
    (found,) = (entry for entry in lines if entry["family"] == family)
    return found


@pytest.mark.slow
def test_every_row_is_listed(entries):
    assert list(entries) == [(row.family, row.row) for row in rows()]
    assert all(set(entry) >= KEYS for entry in entries.values())


@pytest.mark.slow
def test_every_published_count_agrees(entries):
    for row in rows():
        entry = entries[row.family, row.row]
        assert entry["disagreements"] == []
        if row.config is None:
            assert entry["params"] is None
            assert entry["reason"]
        elif (expected := row.corrected("params")) is not None:
            assert entry["params"] == expected


def test_blank_counts_are_not_called_published():
    assert entry_of("vit", "121221")["published_params"] is None
    assert entry_of("vit", "121221")["status"] == "no published count"
    assert entry_of("vit", "121221")["params"] == 85_777_160
    assert entry_of("vgg16_bn", "VGG16bn")["status"] == "no published count"
    assert entry_of("vgg16_bn", "VGG16bn")["params"] == 134_301_768
    assert entry_of("mixer", "xavier_uniform_")["published_params"] is None
    assert entry_of("mixer", "xavier_uniform_")["params"] == 240_686
    assert entry_of("mixer", "blocks5")["params"] == 100_427
    assert entry_of("vit_mnist", "ViT")["params"] == 540_170


def test_networks_that_are_not_there_appear():
    entry = entry_of("linformer", "weighted")
    assert entry["params"] is None
    assert entry["reason"] == "its network and its class weights are not stated"


@pytest.mark.parametrize(
    ("key", "params", "trained"),
    [
        (("vit_base", "010822B"), 85_804_808, 85_804_808),
        (("vit_base", "121121"), 85_804_808, 6_152),
        (("resnet18", "ResNet-18"), 11_227_812, 51_300),
        (("swin", "swin-tiny"), 27_596_254, 76_900),
        pytest.param(("swin", "swin-small"), 48_914_158, 76_900, marks=pytest.mark.slow),
    ],
)
def test_what_learns_is_counted(key, params, trained):
    entry = entry_of(*key)
    assert (entry["num_params"], entry["num_trained_params"]) == (params, trained)
    assert entry["published_params"] in (params, trained)


def test_macs_of_the_authors_tool():
    for row in ("ViT Patch4 Attn4", "ViT Patch8 Attn8"):
        entry = entry_of("vit_cifar100", row)
        assert entry["published_macs"] == entry["tool_macs"]["total"] == 756_480
        assert entry["tool_macs"]["parts"] == {"stem": 589_824, "head": 166_656}
        assert "fast path" in entry["tool_macs"]["why"]
    assert entry_of("vit_cifar100", "ViT Patch4 Attn4")["macs"] == 83_923_200
    assert entry_of("vit_cifar100", "ViT Patch8 Attn8")["macs"] == 41_752_320
    assert entry_of("resnet18", "ResNet-18")["tool_macs"]["total"] == 1_816_096_768


def test_filters():
    lines = published("--seed=3", "--row=121121", "--json")[0].splitlines()
    assert [json.loads(line)["family"] for line in lines] == ["vit_base", "linformer"]
    out, _ = published("--row=4p4l")
    assert "83,923,200" in out
    assert "the tool missed the whole encoder" in out
    assert "1 row: 1 agrees (corrected)" in out


@pytest.mark.slow
def test_markdown():
    out, _ = published("--seed=004", "--markdown")
    assert "| ResNet-18 | 11,227,812 | 11,227,812 | 1,816,096,768 | 1,813,612,544 |" in out
    for table in re.findall(r"(?:^\|.*\n)+", out, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert out.count("<details>") == out.count("</details>") == 3


@pytest.mark.slow
def test_the_page_is_what_the_command_prints(entries):
    page = (REPO / "vitjax/published/README.md").read_text()
    assert page.strip() == ledger_tables.markdown(list(entries.values()), ledger.sweeps()).strip()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--row=1104210"], 1, "did you mean 110421?"),
        (["--seed=9"], 1, "choose --seed from 000"),
        (["--json", "--markdown"], 1, "leave one out"),
        (["--sed=003"], 2, "Did you mean: seed"),
        (["003"], 1, "unexpected argument '003'"),
    ],
)
def test_errors_are_one_line(args, code, said):
    out, err = published(*args, code=code)
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_help():
    out, _ = published("--help")
    assert "  --markdown  " in out


def test_a_count_that_differs_is_shown_and_exits_1(tmp_path, monkeypatch):
    rows_folder = shutil.copytree(ledger.ROWS, tmp_path / "rows")
    path = rows_folder / "seed_000.json"
    path.write_text(path.read_text().replace('"params": "1994"', '"params": "1995"', 1))
    monkeypatch.setattr(ledger, "ROWS", rows_folder)
    out, _ = published("--row=mnist", code=1)
    assert "DISAGREES vit_light mnist: parameters: 1,994 built, 1,995 published" in out
    assert "1 DISAGREES" in out


def test_hidden_files_beside_the_packages_own_do_not_matter(tmp_path, monkeypatch):
    """As macOS puts them beside the files of an archive."""
    row = ledger.find("vit_light", "mnist")
    measured = ledger.measured(row)
    for name in ("ROWS", "RESULTS"):
        folder = shutil.copytree(getattr(ledger, name), tmp_path / name)
        (folder / "._mnist.json").write_bytes(b"\xb0")
    monkeypatch.setattr(ledger, "ROWS", tmp_path / "ROWS")
    assert ledger.find("vit_light", "mnist") == row
    assert ledger.measured(row, tmp_path / "RESULTS") == measured


def test_a_result_is_taken_into_a_checkout_only(tmp_path):
    installed = tmp_path / "site-packages" / "vitjax" / "published" / "results"
    with pytest.raises(UserError, match=r"--record writes into a checkout of vitjax, and .*site-p"):
        recording.checkout_results(installed)
    (tmp_path / "site-packages" / "pyproject.toml").parent.mkdir()
    (tmp_path / "site-packages" / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(UserError, match=r"run it in a checkout, after pip install -e \."):
        recording.checkout_results(installed)
    checkout = Path(__file__).parents[2] / "vitjax" / "published" / "results"
    assert recording.checkout_results(checkout) == checkout
    with pytest.raises(UserError, match=r"--record=.* is not the folder of a finished run"):
        recording.record(str(tmp_path), checkout)
    assert "--record" in published(f"--record={tmp_path}", code=1)[1]  # of the two, as installed
