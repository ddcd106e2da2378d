"""python -m vitjax.published, as a user types it."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from commands import REPO, environment

from vitjax.published import ledger, ledger_tables, rows

KEYS = {
    "seed", "row", "family", "published_params", "params", "published_macs", "macs", "published",
    "measured", "config", "correction", "reason",
}  # fmt: skip


def published(*args, code=0, cwd=REPO, **env):
    """Runs the command and returns (stdout, stderr); its exit code must be `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "vitjax.published", *args],
        capture_output=True, text=True, env=environment(**env), cwd=cwd,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def entries():
    """The objects of --json by (family, row)."""
    lines = [json.loads(line) for line in published("--json")[0].splitlines()]
    return {(entry["family"], entry["row"]): entry for entry in lines}


def test_every_row_is_listed(entries):
    assert list(entries) == [(row.family, row.row) for row in rows()]
    assert all(set(entry) >= KEYS for entry in entries.values())


def test_every_published_count_agrees(entries):
    for row in rows():
        entry = entries[row.family, row.row]
        assert entry["disagreements"] == []
        if row.config is None:
            assert entry["params"] is None
            assert entry["reason"]
        elif (expected := row.corrected("params")) is not None:
            assert entry["params"] == expected


def test_blank_counts_are_not_called_published(entries):
    assert entries["vit", "121221"]["published_params"] is None
    assert entries["vit", "121221"]["status"] == "no published count"
    assert entries["vit", "121221"]["params"] == 85_777_160
    assert entries["mixer", "xavier_uniform_"]["published_params"] is None
    assert entries["mixer", "xavier_uniform_"]["params"] == 240_686
    assert entries["mixer", "blocks5"]["params"] == 100_427
    assert entries["vit_mnist", "ViT"]["params"] == 540_170


def test_networks_that_are_not_there_appear(entries):
    entry = entries["vgg16_bn", "VGG16bn"]
    assert entry["params"] is None
    assert entry["reason"] == "vitjax has no VGG"


@pytest.mark.parametrize(
    ("key", "params", "trained"),
    [
        (("vit_base", "010822B"), 85_804_808, 85_804_808),
        (("vit_base", "121121"), 85_804_808, 6_152),
        (("resnet18", "ResNet-18"), 11_227_812, 51_300),
        (("swin", "swin-tiny"), 27_596_254, 76_900),
        (("swin", "swin-small"), 48_914_158, 76_900),
    ],
)
def test_what_learns_is_counted(entries, key, params, trained):
    entry = entries[key]
    assert (entry["num_params"], entry["num_trained_params"]) == (params, trained)
    assert entry["published_params"] in (params, trained)


def test_macs_of_the_authors_tool(entries):
    for row in ("ViT Patch4 Attn4", "ViT Patch8 Attn8"):
        entry = entries["vit_cifar100", row]
        assert entry["published_macs"] == entry["tool_macs"]["total"] == 756_480
        assert entry["tool_macs"]["parts"] == {"stem": 589_824, "head": 166_656}
        assert "fast path" in entry["tool_macs"]["why"]
    assert entries["vit_cifar100", "ViT Patch4 Attn4"]["macs"] == 83_923_200
    assert entries["vit_cifar100", "ViT Patch8 Attn8"]["macs"] == 41_752_320
    assert entries["resnet18", "ResNet-18"]["tool_macs"]["total"] == 1_816_096_768


def test_filters():
    lines = published("--seed=3", "--row=121121", "--json")[0].splitlines()
    assert [json.loads(line)["family"] for line in lines] == ["vit_base", "linformer"]
    out, _ = published("--row=4p4l")
    assert "83,923,200" in out
    assert "the tool missed the whole encoder" in out
    assert "1 row: 1 agrees (corrected)" in out


def test_markdown():
    out, _ = published("--seed=004", "--markdown")
    assert "| ResNet-18 | 11,227,812 | 11,227,812 | 1,816,096,768 | 1,813,612,544 |" in out
    for table in re.findall(r"(?:^\|.*\n)+", out, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert out.count("<details>") == out.count("</details>") == 3


def test_readmes_section_is_the_commands(entries):
    begin, end = "<!-- begin: python -m vitjax.published --markdown -->\n", "<!-- end -->"
    section = (REPO / "README.md").read_text().partition(begin)[2].partition(end)[0]
    assert (
        section.strip() == ledger_tables.markdown(list(entries.values()), ledger.sweeps()).strip()
    )


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
    assert "--[no]markdown" in out


def test_a_count_that_differs_is_shown_and_exits_1(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("vitjax", "configs"):
        shutil.copytree(REPO / folder, tmp_path / folder, ignore=ignore)
    path = tmp_path / "vitjax" / "published" / "rows" / "seed_000.json"
    path.write_text(path.read_text().replace('"params": "1994"', '"params": "1995"', 1))
    out, _ = published("--row=mnist", code=1, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert "DISAGREES vit_light mnist: parameters: 1,994 built, 1,995 published" in out
    assert "1 DISAGREES" in out
