"""Looking over a run before it begins: its problems at once, its size, what chips make of it."""

import dataclasses
import importlib.util
import json

import jax
import numpy as np
import pytest
from commands import main
from PIL import Image

from vitjax import config_file, data
from vitjax.data.readers.galaxy_zoo2 import synthetic
from vitjax.targets import figures, forecast
from vitjax.training.ahead import outline, preflight


def check(*args, code=0):
    out, err = main(*args, module="vitjax.check", code=code)
    assert err == ""
    return out


def test_says_what_the_default_run_is():
    out = check()
    assert "digits: 1,259 train, 179 valid, 359 test images of 32x32x1, 10 classes" in out
    assert "vit: 139,978 parameters, 2,442,368 MACs per image" in out
    assert "70 epochs of 40 steps" in out
    assert "in all    2,800 steps\n" in out
    assert out.endswith("no problem found\n")


PROBLEMS = {
    "--config.seed=-1": "config.seed=-1 should be at least 0",
    "--config.optim.name=adm": "config.optim.name='adm' is unknown",
    "--config.schedule.name=sine": "config.schedule.name='sine' is unknown",
    "--config.loss.name=nll": "config.loss.name='nll' is unknown",
    "--config.data.fit=stretch": "fit='stretch' given",
    "--config.data.valid_fraction=2.0": "valid_fraction=2.0 given",
    "--config.data.batch_size=2001": "larger than the train split of 1259 images",
    "--config.data.augment.crop_padding=32": "should be below the image size of 32 pixels",
    "--config.model.patch_size=5": "patch_size=5 does not divide an image of 32x32 pixels",
}


def test_repeats_that_do_not_divide_the_batch_are_a_problem():
    out = check("--config.data.augment.repeats=3", code=1)
    assert "config.data.batch_size=32 is not divisible by config.data.augment.repeats=3" in out
    assert "nearest that fit: 30 or 33\n" in out


def test_tells_all_problems_at_once():
    out = check(*PROBLEMS, code=1)
    for text in PROBLEMS.values():
        assert text in out
    assert out.count("\nproblem ") + out.startswith("problem ") == len(PROBLEMS)
    assert out.endswith(f"{len(PROBLEMS)} problems\n")


def test_what_needs_a_wrong_option_is_not_looked_at():
    out = check("--config.model.num_heads=0", "--config.data.channels=2", code=1)
    assert out.splitlines()[-1] == "2 problems"


def test_a_run_tells_all_problems_before_it_reads_data(tmp_path):
    words = [*PROBLEMS, "--config.data.name=folder", "--config.data.data_dir=/no"]
    out, error = main(f"--workdir={tmp_path}/run", *words, code=1)
    assert out == ""
    assert error.startswith("error: 7 problems: (1) config.seed=-1 should be at least 0; (2) ")
    assert "(7) there is no folder /no; change config.data.data_dir" in error
    assert error.count("\n") == 1


def test_data_that_are_not_here_are_a_problem_and_the_run_is_described_all_the_same():
    out = check("--config=configs/vit_galaxy_zoo2.py", code=1)
    assert "about 99,808 train, 24,952 valid, 31,191 test images of 224x224x3, 8 classes" in out
    assert "4,719,368 parameters" in out
    assert "config.data.name='galaxy_zoo2' needs to know where the data lies" in out


def galaxies_of(folder, **options):
    options = {"name": "galaxy_zoo2", "data_dir": str(folder), "image_size": 224} | options
    return outline_of(**options)


def test_the_outline_of_galaxies_before_and_after_they_are_prepared(tmp_path):
    synthetic.write(tmp_path, 60)
    next((tmp_path / "images").iterdir()).unlink()
    before = galaxies_of(tmp_path, label_column="label4")
    assert (before.counts, before.exact) == (dict(train=38, valid=10, test=12), False)
    assert (before.image_shape, before.num_classes) == ((224, 224, 3), 3)
    read = data.load("galaxy_zoo2", data_dir=str(tmp_path), image_size=8)
    for path in [*(tmp_path / "images").iterdir(), *tmp_path.glob("*.csv")]:
        path.unlink()
    after = galaxies_of(tmp_path, label_column="label4")
    assert (after.counts, after.exact) == (counts_of(read), True)
    assert sum(after.counts.values()) == 59
    assert (after.image_shape, after.num_classes) == ((224, 224, 3), 3)


def test_what_galaxies_need_is_told_before_they_are_read(tmp_path):
    words = ["--config=configs/vit_galaxy_zoo2.py", f"--config.data.data_dir={tmp_path}"]
    assert "holds neither gz2_train.csv nor a prepared galaxy_zoo2" in check(*words, code=1)
    synthetic.write(tmp_path, 60)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    words.append("--config.data.batch_size=8")
    assert "there are no images of Galaxy Zoo 2 (GALAXYID.jpg) in" in check(*words, code=1)
    out = check(*words, f"--config.data.image_root={tmp_path}/elsewhere")
    assert "about 38 train, 10 valid, 12 test images" in out


def test_what_is_not_known_is_said():
    out = check("--config.data.name=some_set")
    assert "some_set: how many images there are is known when they are read" in out


def outline_of(**options):
    config = config_file.load_config("vit_digits")
    config.data.image_size = 0
    config.data.update(**options)
    return outline.outline(config.data)


def counts_of(dataset):
    return {name: len(split) for name, split in dataset.splits.items()}


def write_images(folder, sizes):
    for label, count in sizes.items():
        (folder / label).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(folder / label / f"{i}.png")


@pytest.mark.parametrize("valid_fraction", [0.0, 0.3])
def test_a_folders_outline_is_what_reading_gives(tmp_path, valid_fraction):
    write_images(tmp_path, {"a": 7, "b": 12})
    known = outline_of(name="folder", data_dir=str(tmp_path), valid_fraction=valid_fraction)
    read = data.load("folder", data_dir=str(tmp_path), valid_fraction=valid_fraction)
    assert known.exact
    assert known.counts == counts_of(read)
    assert (known.image_shape, known.num_classes) == (read.image_shape, read.num_classes)


def test_the_outline_of_a_folder_of_splits(tmp_path):
    write_images(tmp_path / "train", {"a": 7, "b": 12})
    write_images(tmp_path / "val", {"b": 3})
    write_images(tmp_path / "test", {"a": 2})
    known = outline_of(name="folder", data_dir=str(tmp_path))
    assert known.counts == counts_of(data.load("folder", data_dir=str(tmp_path)))


def test_a_csv_files_outline_is_what_reading_gives(tmp_path):
    write_images(tmp_path, {"a": 7, "b": 12})
    lines = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in tmp_path.glob("*/*")]
    (tmp_path / "all.csv").write_text("\n".join(["path,label", *lines]))
    known = outline_of(name="csv", data_dir=str(tmp_path / "all.csv"))
    read = data.load("csv", data_dir=str(tmp_path / "all.csv"))
    assert known.counts == counts_of(read)
    assert (known.image_shape, known.num_classes) == (read.image_shape, read.num_classes)


def test_the_outline_of_csv_files_of_splits(tmp_path):
    write_images(tmp_path, {"a": 7, "b": 12})
    lines = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in tmp_path.glob("*/*")]
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.csv").write_text("\n".join(["path,label", *lines]))
    known = outline_of(name="csv", data_dir=str(tmp_path))
    assert known.counts == counts_of(data.load("csv", data_dir=str(tmp_path)))
    assert known.counts["valid"] == 19


def write_a_gray_one_first(root, kind):
    """Images of two classes, of which the first alone is gray; returns the options to read them."""
    write_images(root, {"a": 7, "b": 12})
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(root / "a" / "0.png")
    lines = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.glob("*/*"))]
    (root / "all.csv").write_text("\n".join(["path,label", *lines]))
    place = root if kind == "folder" else root / "all.csv"
    return {"name": kind, "data_dir": str(place)}


@pytest.mark.parametrize("max_examples", [0, 1])
@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_images_are_gray_where_all_that_are_read_are(kind, max_examples, tmp_path):
    options = write_a_gray_one_first(tmp_path, kind)
    known = outline_of(**options, max_examples=max_examples)
    assert known.image_shape == (6, 8, 1 if max_examples else 3)
    assert outline_of(**options, channels=1).image_shape == (6, 8, 1)


def test_gray_images_before_those_with_colour_hinder_no_run(tmp_path):
    options = write_a_gray_one_first(tmp_path, "folder")
    config = config_file.load_config("vit_digits:debug")
    config.model.patch_size = 2
    config.data.update(**options, image_size=0, mean=(0.5,) * 3, std=(0.2,) * 3)
    assert preflight.preflight(config, jax.devices()).problems == []
    config.data.update(mean=(0.5,), std=(0.2,))
    (problem,) = preflight.preflight(config, jax.devices()).problems
    assert "should have 3 number(s) each" in problem
    assert problem.endswith("or set --config.data.channels")


@pytest.mark.parametrize("validation", ["validation", "valid", "val", "dev"])
def test_the_outline_of_a_prepared_set_is_what_tfds_wrote(validation, tmp_path):
    folder = tmp_path / "tiny" / "1.0.0"
    folder.mkdir(parents=True)
    sizes = {"train": ["60", "40"], validation: ["9"], "other": ["5"]}
    splits = [{"name": name, "shardLengths": shards} for name, shards in sizes.items()]
    keys = {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}}
    info = {"splits": splits, "supervisedKeys": keys}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    image = {"image": {"shape": {"dimensions": ["-1", "-1", "3"]}}}
    features = {"image": image, "label": {"classLabel": {"numClasses": "4"}}}
    (folder / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))
    assert outline_of(name="tiny", data_dir=str(tmp_path)) is None  # images of any size
    known = outline_of(name="tiny", data_dir=str(tmp_path), image_size=16)
    assert (known.image_shape, known.num_classes) == ((16, 16, 3), 4)
    assert known.counts == {"train": 80, "valid": 9, "test": 20}
    assert not known.exact


@pytest.mark.parametrize("name", ["mnist", "cifar100"])
def test_what_is_known_by_name_is_what_tfds_has(name, real_data):
    prepared = outline_of(name=name, data_dir=str(real_data("tfds")))
    assert prepared == outline_of(name=name, data_dir="/no")


@pytest.mark.parametrize(
    ("name", "label_column", "num_classes"),
    [
        ("cifar100", "label", 100),
        ("cifar100", "coarse_label", 20),
        ("galaxy_zoo2", "label", 8),
        ("galaxy_zoo2", "label4", 3),
    ],
)
def test_classes_of_another_label_are_known_by_name(name, label_column, num_classes, tmp_path):
    config = config_file.load_config("vit_digits")
    config.model.patch_size = 8
    config.data.update(name=name, data_dir=str(tmp_path), label_column=label_column, image_size=32)
    config.loss.class_weights = (1.0,) * num_classes
    found = preflight.preflight(config, jax.devices())
    assert (found.outline.num_classes, found.wrong) == (num_classes, [])


def test_a_label_that_is_not_known_by_name_is_no_problem_yet(tmp_path):
    assert outline_of(name="cifar100", data_dir=str(tmp_path), label_column="other") is None


def test_looking_is_quick():
    config = config_file.load_config("vit_base_cifar100")
    assert preflight.preflight(config, jax.devices()).problems == []


MADE_UP = figures.Figures(
    compile_seconds=12.0,
    code_bytes=3_000_000,
    argument_bytes=0,
    temp_bytes=2**29,
    peak_bytes=2**30,
    bytes=0.0,
    memory_bytes=819_000_000,  # 1 ms
    once_bytes=0,
    flops=1e9,
    cycles=4_500_000,
    num_ops=1234,
    collective_bytes=200_000_000,  # 1 ms
    alone_bytes=200_000_000,
    largest_bytes=1,
    padded_bytes=1,
)


@pytest.fixture
def no_compiler(monkeypatch):
    """Devices of this machine in place of a target's, and made-up figures; returns what to set."""
    made = {"figures": MADE_UP}
    monkeypatch.setattr(forecast, "devices_of", lambda target: jax.devices()[:1])
    monkeypatch.setattr(forecast, "compile_for", lambda *of: (None, made["figures"]))
    return made


def test_says_what_a_step_takes_on_chips_that_are_not_here(no_compiler):
    out = check("--config=configs/vit_digits.py:debug", "--target=v5e:2x4")
    assert "computing in bfloat16" in out
    assert "memory    1 of 15.8 GiB of each chip, 0.5 of them between" in out
    assert "step      2 ms at least (3 ms by its compiler's estimate), 8,000 images/s" in out
    assert "images/s at most: each chip moves 819.0 MB" in out
    assert "computes 1.0 GFLOP, 200.0 MB sent" in out
    assert "1,234 operations, 3.0 MB of code, compiled in 12 s here" in out


def test_a_mesh_is_that_of_the_chips(no_compiler, monkeypatch):
    monkeypatch.setattr(forecast, "devices_of", lambda target: jax.devices()[:1] * 8)
    words = ("--config.mesh.fsdp=3", "--config.data.batch_size=100", "--target=v5e:2x4")
    out = check("--config=configs/vit_digits.py:debug", *words, code=1)
    assert "config.mesh.data=0 and config.mesh.fsdp=3 do not make up 8 device(s)" in out
    assert "nearest that fit: 96 or 104" in out
    assert "2 problems" in out


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (
            (),
            "raise config.optim.accumulation_steps above 1, set config.model.remat=true, or lower",
        ),
        (("--config.model.remat",), "raise config.optim.accumulation_steps above 1, or lower"),
    ],
)
def test_what_does_not_fit_is_a_problem(words, change, no_compiler):
    no_compiler["figures"] = dataclasses.replace(MADE_UP, peak_bytes=20 * 2**30)
    out = check("--config=configs/vit_digits.py:debug", *words, "--target=v5e", code=1)
    assert "needs 20 GiB of each v5e, which has 15.8 GiB, 0.000244 of them for the training" in out
    assert change in out


def test_data_that_do_not_fit_are_named(no_compiler):
    no_compiler["figures"] = dataclasses.replace(MADE_UP, peak_bytes=20 * 2**30)
    words = "--config=configs/vit_galaxy_zoo2.py", "--target=v5e"
    out = check(*words, "--config.data.stream=never", code=1)
    assert "21.9 GiB of pixels at rest on each device" in out
    assert "14 of them for the training images; set config.data.stream to auto, or lower" in out


def test_data_that_do_not_fit_are_streamed(no_compiler):
    no_compiler["figures"] = dataclasses.replace(MADE_UP, peak_bytes=2**30)
    out = check("--config=configs/vit_galaxy_zoo2.py", "--target=v5e", code=1)
    assert "21.9 GiB of pixels streamed to the devices" in out
    # Two chunks of three batches of 64 images of 147 KiB wait beside what the step takes.
    assert "memory    1.05 of 15.8 GiB of each chip" in out


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("v5", "--target=v5 is unknown"),
        ("v5e", "compiling for v5e:1x1 needs libtpu: pip install '.[tpu]'"),
        ("h200", "compiling for h200 needs jax_cuda12_plugin: pip install '.[cuda]'"),
    ],
)
def test_targets_that_cannot_be_compiled_for(target, message, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _, error = main(f"--target={target}", module="vitjax.check", code=1)
    assert message in error
    assert error.count("\n") == 1
