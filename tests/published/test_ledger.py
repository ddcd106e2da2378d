"""The published rows as data: complete, as printed, corrected, and read by the configs."""

import collections
import itertools
import json
import re
import subprocess
import sys

import pytest
from commands import REPO

from vitjax import config_file
from vitjax.config import check, flatten, to_json
from vitjax.errors import UserError
from vitjax.experiments import OPTIONS
from vitjax.published import ledger
from vitjax.published.ledger import find, measured, parse, rows

NUM_ROWS = {
    ("000", "vit_light"): 10,
    ("000", "comparison"): 1,
    ("000", "vit_scratch"): 5,
    ("001", "mixer"): 25,
    ("002", "vit_mnist"): 1,
    ("003", "vit"): 24,
    ("003", "vit_base"): 29,
    ("003", "linformer"): 27,
    ("003", "resnet50"): 1,
    ("003", "vgg16_bn"): 1,
    ("004", "vit_cifar100"): 8,
    ("004", "resnet18"): 1,
    ("004", "swin"): 3,
}
NUM_COLUMNS = {  # of each table of seed 003; the same column may stand in two of them
    "vit": [5, 6, 6, 7, 2],
    "vit_base": [7, 8, 9, 3],
    "linformer": [8, 9, 9, 2],
}
HEADINGS = {"ViT hyper": "vit", "Pre-Train": "vit_base", "Linformer": "linformer"}


@pytest.fixture(scope="module")
def seed():
    """Reads a seed's text, where it lies beside the checkout."""

    def read(number: str) -> str:
        found = list((REPO.parent / "shared" / "seeds").glob(f"{number}_*.md"))
        if not found:
            pytest.skip(f"the text of seed {number} is not in ../shared/seeds")
        return found[0].read_text()

    return read


def tables_of(text):
    """Yields (family, [column]) of seed 003; a column is {name of the line: cell}."""
    family, block = None, []
    for line in [*text.splitlines(), ""]:
        if line.startswith("## "):
            family = HEADINGS[line[3:12]]
        if line.startswith("|"):
            block.append([cell.strip() for cell in line.strip().removesuffix("|").split("|")[1:]])
        elif block:
            # Lines that are blank or shorter than the first lack cells at the end.
            lines = itertools.zip_longest(*block, fillvalue="")
            names, *columns = [list(column) for column in lines]
            yield family, [dict(zip(names, column, strict=True)) for column in columns]
            block = []


def test_number_of_rows():
    assert collections.Counter((row.seed, row.family) for row in rows()) == NUM_ROWS


def test_number_of_columns_of_each_table():
    for family, lengths in NUM_COLUMNS.items():
        ids = collections.Counter(table for row in rows(family=family) for table in row.printed_ids)
        assert [ids[f"{family}-{i + 1}"] for i in range(len(lengths))] == lengths


def test_seed_003_cell_by_cell(seed):
    seen, shape = set(), collections.defaultdict(list)
    for family, columns in tables_of(seed("003")):
        shape[family].append(len(columns))
        table = f"{family}-{len(shape[family])}"
        for column in columns:
            row = find(family, column["Params"])
            assert row.printed_ids[table] == column.pop("Params")
            seen.add((family, row.row))
            cells = {k: v for k, v in column.items() if k.strip("- ")}
            count, printed = cells.get("# params", ""), {**row.printed, **row.published}
            assert {k: v for k, v in cells.items() if k != "# params"} == {
                k: v for k, v in printed.items() if k != "params"
            }
            if family != "vit_base":
                assert printed["params"] == count
                assert row.published_params == (int(count.replace(",", "")) if count else None)
            withdrawn = {c.cell for c in row.corrections if c.value is None}
            for name in {"train_acc", "valid_acc", "test_acc"} - withdrawn:
                number = re.search(r"\d+\.?\d*", cells[name])
                assert row.accuracies[name] == (float(number[0]) if number else None)
    assert shape == NUM_COLUMNS
    in_tables = [r for r in rows(seed="003") if any(re.search(r"-\d$", t) for t in r.printed_ids)]
    assert seen == {(row.family, row.row) for row in in_tables}


def test_seed_003_besides_its_tables(seed):
    text = seed("003")
    for row in rows(family="vit_base"):
        kind = "fine-tuned" if row.hyperparameters["fine_tune"] else "no fine-tuned"
        assert f"\n{kind}: {row.published['params']} trainable parameters" in text
    for name in ("w1", "w2"):
        row = find("vit_base", name)
        accuracies = " | ".join(
            row.published[f"{split}_acc"] for split in ("train", "valid", "test")
        )
        assert f"Use {row.printed['class_weights']} --> {accuracies}" in text


def test_seed_004_cell_by_cell(seed):
    lines = re.findall(
        r"^<b>(.*?)</b>\t(.*?)\t(.*?)\t(.*?)\t(.*?)$|^\| ?<b>(.*)", seed("004"), re.M
    )
    assert len(lines) == 5
    for name, *cells, _ in lines:
        row = find("resnet18" if name.startswith("ResNet") else "vit_cifar100", name)
        assert [row.published[k] for k in ("params", "macs", "epoch_time", "test_acc")] == cells
        assert row.published_params == int(cells[0].replace(",", ""))
        assert row.published_macs == int(cells[1].replace(",", ""))


def test_seed_001_in_its_words(seed):
    text = seed("001")
    for row in rows(seed="001"):
        assert row.excerpt in text
        for value in row.published.values():
            assert re.search(rf"\b{re.escape(value)}\b", row.excerpt)
    for heading in re.findall(r"<b>.*?</b>", text):
        assert sum(row.excerpt.startswith(heading) for row in rows(seed="001")) == 1, heading
    initialisers = re.search(r"methods such as (.*?)\. The best", text)[1].replace("\\", "")
    printed = [row.printed["init"] for row in rows(seed="001") if "initialisers" in row.printed_ids]
    assert sorted(initialisers.lower().split(", ")) == sorted(name.lower() for name in printed)


def test_seeds_000_and_002_in_their_words(seed):
    text = seed("000")
    grids = re.search(r"Learning rate \[(.*?)\].*?Batch size \[(.*?)\]", text, re.DOTALL).groups()
    expected = set(itertools.product(*(numbers.split(", ") for numbers in grids)))
    grid = [row for row in rows(family="vit_light") if "grid" in row.printed_ids]
    assert {(row.printed["lr"], row.printed["batch_size"]) for row in grid} == expected
    (best,) = (row for row in grid if row.published.get("test_acc"))
    cells = best.published["test_acc"], best.printed["batch_size"], best.printed["lr"]
    assert "is {} with batch size {} and learning rate {}.".format(*cells) in text
    assert "only 1994 trainable parameters" in text
    config = dict(re.findall(r"^(\w[\w ]*)\t(.*)$", text, re.MULTILINE))
    (column,) = rows(family="comparison")
    assert config.pop("Config") == "MNIST and FMNIST"
    assert config.pop("Parameters") == column.published["params"]
    assert sorted(config.values()) == sorted(column.printed.values())
    text = seed("002")
    (row,) = rows(seed="002")
    assert all(value in text for value in [*row.published.values(), *row.printed.values()])


def test_corrections_of_the_counts():
    corrected = {
        (row.family, row.row): {
            c.cell: c.value for c in row.corrections if c.cell in ("depth", "patch_size")
        }
        for row in rows(seed="003")
    }
    assert {key: value for key, value in corrected.items() if value} == {
        ("vit", "121021"): {"depth": 12},
        ("linformer", "122921"): {"patch_size": 28},
        ("linformer", "122921B"): {"patch_size": 16},
    }
    shared = ("121021", "121121", "121221", "121321", "122921", "122921B")
    for name in shared:
        row = find("linformer", name)
        assert row.printed["shared_kv"] == ""
        assert row.hyperparameters["shared_kv"] is True


def test_no_correction_without_a_reason():
    for row in rows():
        assert all(len(c.why) > 10 for c in row.corrections), row.row
        assert row.printed_in, row.row


def test_ids_that_repeat_over_families_stay_apart():
    assert find("vit_base", "121121").row == find("linformer", "121121").row
    assert find("vit_base", "121121") != find("linformer", "121121")
    for name in ("#102621#", "102621"):
        assert find("linformer", name).row == "102621"
    assert find("vit", "12??21") == find("vit", "12xx21")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6,953,992", 6_953_992), ("3e-4", 3e-4), ("86.18 (8 ep)", 86.18), ("81.93^", 81.93),
        ("**84.91**", 84.91), ("~80", 80), ("43.9%", 43.9), ("11.76s", 11.76), ("00:21", 21),
        ("", None), ("-", None), ("?", None), ("X", None), ("bad", "bad"), ("7x7", 7),
        ("yes", True), ("False", False), ("384, 192", (384, 192)), ("[.5, 1]", (0.5, 1)),
        ("210k", 210_000), (".4392", 0.4392), ("384", 384),
    ],
)  # fmt: skip
def test_parse(text, value):
    assert parse(text) == value
    assert type(parse(text)) is type(value)


def test_accuracies_are_in_percent():
    assert find("mixer", "orthogonal").accuracies["test_acc"] == 97.7
    assert find("vit_cifar100", "4p8l").accuracies["test_acc"] == 44.6
    assert find("resnet18", "ResNet-18").accuracies["test_acc"] == 55.99
    assert find("vit", "110121").accuracies["test_acc"] is None


def test_unknown_names():
    with pytest.raises(UserError, match=r"unknown row of vit '110422'.*did you mean 110421"):
        find("vit", "110422")
    with pytest.raises(UserError, match=r"unknown family 'vitt'.*linformer"):
        find("vitt", "110421")
    with pytest.raises(UserError, match=r"unknown seed '7'; choose --seed from 000, 001"):
        rows(seed="7")
    with pytest.raises(UserError, match=r"row 'weighted' of linformer has no config: its network"):
        config_file.load_config(f"{REPO}/configs/linformer_galaxy_zoo2.py:weighted")


def test_a_result_is_found_by_its_row(tmp_path):
    result = {"seed": "003", "family": "vit", "row": "110421", "accuracies": {"test_acc": 80.0}}
    result |= {"training_seeds": [0], "command": "c", "hardware": "h", "versions": {}}
    (tmp_path / "a.json").write_text(json.dumps(result))
    assert measured(find("vit", "110421"), tmp_path) == result
    assert measured(find("vit", "110521"), tmp_path) is None
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"b\.json lacks accuracies, command, family, ha.*, row, seed"
    ):
        measured(find("vit", "110521"), tmp_path)


def test_a_wrong_file_is_named(tmp_path):
    row = {"row": "a", "family": "f", "tables": {"t": "a"}, "hyperparameters": {"depth": "8"}}
    row |= {"published": {}, "config": "c"}
    correction = {"cell": "depth", "printed": "9", "value": 12, "why": "because"}
    content = {"seed": "009", "tables": {"t": {"source": "s"}}}
    content["rows"] = [row | {"corrections": [correction]}]
    (tmp_path / "seed_009.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"seed_009.json, row 'a'.*says '9' is printed.*'8'"):
        ledger.read(tmp_path)


@pytest.mark.parametrize("row", [r for r in rows() if r.config], ids=lambda r: r.config)
def test_the_config_has_the_corrected_cells(row):
    config = config_file.load_config(f"{REPO}/{row.config}")
    check(config)
    flat = flatten(to_json(config))
    for cell, value in row.hyperparameters.items():
        if cell in OPTIONS:
            value = list(value) if isinstance(value, tuple) else value
            given = flat[OPTIONS[cell]]
            assert given == (value.lower() if isinstance(value, str) else value), cell


@pytest.mark.parametrize(
    ("config", "option", "value"),
    [
        ("vit_galaxy_zoo2:121021", "model.num_layers", 12),
        ("vit_galaxy_zoo2:102821", "data.batch_size", 32),
        ("vit_galaxy_zoo2:103121", "optim.learning_rate", 1e-4),
        ("vit_galaxy_zoo2:110821", "schedule.step_size", 10),
        ("vit_galaxy_zoo2:12??21", "model.num_heads", 12),
        ("linformer_galaxy_zoo2:122921", "model.patch_size", 28),
        ("linformer_galaxy_zoo2:122921B", "model.patch_size", 16),
        ("linformer_galaxy_zoo2:010522", "model.mlp_dim", 256),
        ("mixer_mnist:mse-sgd-wd0.0005", "loss.name", "mse"),
        ("mixer_mnist:mse-sgd-wd0.0005", "optim.weight_decay", 5e-4),
        ("mixer_mnist:cross_entropy-rmsprop", "optim.name", "rmsprop"),
        ("mixer_mnist:without_norm", "model.norm", "none"),
        ("mixer_mnist:relu", "model.activation", "relu"),
        ("mixer_mnist:kaiming_uniform", "model.kernel_init", "kaiming_uniform"),
        ("vit_light:fashion_mnist-lr0.1-b64", "optim.learning_rate", 0.1),
        ("vit_scratch:svhn", "data.name", "svhn_cropped"),
        ("vit_cifar100:4p12l-384-1536", "model.mlp_dim", 1536),
    ],
)
def test_options_by_hand(config, option, value):
    name, _, row = config.partition(":")
    assert flatten(config_file.load_config(f"{REPO}/configs/{name}.py:{row}"))[option] == value


def test_the_ledger_needs_no_jax():
    code = "import sys, vitjax.published; print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
