"""Every config file: its rows, their parameter counts, their errors."""

import ntpath
import os
from pathlib import Path

import jax
import pytest

from vitjax import config_file, models
from vitjax.config import check, debug, default, nearest_keys, use_model
from vitjax.data.augment import Augmentation
from vitjax.errors import UserError
from vitjax.sweeps.plan import members

REPO = Path(__file__).parents[1]
MNIST, CIFAR, GALAXY = (28, 28, 1), (32, 32, 3), (224, 224, 3)

ROWS = {  # config: image shape, classes, published parameters (None: not published) or counted
    "vit_digits": ((8, 8, 1), 10, None),
    "vit_mnist:mlp128": (MNIST, 10, 408_586),
    "vit_mnist": (MNIST, 10, 540_170),
    "vit_mnist:mlp512": (MNIST, 10, 803_338),
    "vit_light:mnist": (MNIST, 10, 1_994),
    "vit_light:fashion_mnist": (MNIST, 10, 1_994),
    "vit_light:fashion_mnist-lr0.1-b64": (MNIST, 10, 1_994),
    "vit_scratch:mnist": (MNIST, 10, 210_058),
    "vit_scratch:fashion_mnist": (MNIST, 10, 210_058),
    "vit_scratch:cifar10": (CIFAR, 10, 827_530),
    "vit_scratch:svhn": (CIFAR, 10, 827_530),
    "vit_scratch:cifar100": (CIFAR, 100, 839_140),
    "mixer_mnist": (MNIST, 10, 240_686),
    "mixer_mnist:sparse": (MNIST, 10, 240_686),
    "mixer_mnist:mse-sgd-wd0.0005": (MNIST, 10, 240_686),
    "mixer_mnist:blocks5": (MNIST, 10, 100_427),
    "mixer_mnist:without_norm": (MNIST, 10, 240_286),
    "vit_cifar100:4p4l": (CIFAR, 100, 1_377_508),
    "vit_cifar100:4p8l": (CIFAR, 100, 2_565_604),
    "vit_cifar100:8p4l": (CIFAR, 100, 1_395_940),
    "vit_cifar100:8p8l": (CIFAR, 100, 2_584_036),
    "vit_cifar100:4p12l-384-1536": (CIFAR, 100, 21_578_788),
    "vit_compact": (CIFAR, 100, 494_244),
    "vit_compact:3m": (CIFAR, 100, 3_260_004),
    "vit_compact:mnist": (MNIST, 10, 89_642),
    "vit_galaxy_zoo2:110421": (GALAXY, 8, 4_719_368),
    "vit_galaxy_zoo2:121021": (GALAXY, 8, 6_438_024),
    "vit_galaxy_zoo2:12??21": (GALAXY, 8, 16_009_480),
    "vit_galaxy_zoo2:121221": (GALAXY, 8, 85_777_160),
    "vit_base_galaxy_zoo2": (GALAXY, 8, 85_804_808),
    "vit_base_galaxy_zoo2:121121": (GALAXY, 8, 85_804_808),
    "vit_base_galaxy_zoo2:w1": (GALAXY, 8, 85_804_808),
    "vit_base_cifar100": (GALAXY, 100, 85_875_556),
    "vit_base_mnist": (GALAXY, 10, 85_806_346),
    "resnet18_cifar100": (GALAXY, 100, 11_227_812),
    "resnet50_galaxy_zoo2": (GALAXY, 8, 23_524_424),
    "vgg16_galaxy_zoo2": (GALAXY, 8, 134_301_768),
    "swin_cifar100": (GALAXY, 100, 27_596_254),
    "swin_cifar100:swin-small": (GALAXY, 100, 48_914_158),
    "linformer_galaxy_zoo2:arXiv": (GALAXY, 8, 2_785_416),
    "linformer_galaxy_zoo2:122921": (GALAXY, 8, 2_495_208),
    "linformer_galaxy_zoo2:122921B": (GALAXY, 8, 8_969_416),
    "linformer_galaxy_zoo2:123021C": (GALAXY, 8, 2_575_368),
    "linformer_galaxy_zoo2:010522B": (GALAXY, 8, 1_554_408),
}


def load(row):
    name, _, argument = row.partition(":")
    return config_file.load_config(f"{REPO}/configs/{name}.py:{argument}")


STATISTICS = {  # what the seed's own models, and those with published weights, normalise by
    "vit_galaxy_zoo2": ((0.094, 0.0815, 0.063), (0.1303, 0.11, 0.0913)),
    "linformer_galaxy_zoo2": ((0.094, 0.0815, 0.063), (0.1303, 0.11, 0.0913)),
    "vit_base_galaxy_zoo2": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "vgg16_galaxy_zoo2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "resnet50_galaxy_zoo2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_galaxies_are_transformed_as_published(name):
    data = config_file.load_config(f"{REPO}/configs/{name}.py").data
    assert (data.name, data.label_column) == ("galaxy_zoo2", "label1")
    assert (data.image_size, data.fit, data.input_size) == (224, "center_crop", 0)
    assert (data.mean, data.std) == STATISTICS[name]
    assert Augmentation(**data.augment) == Augmentation(
        rotation_degrees=90.0,
        horizontal_flip=True,
        vertical_flip=True,
        resized_crop_scale=(0.8, 1.0),
        resized_crop_ratio=(0.99, 1.01),
    )


@pytest.mark.parametrize("row", ROWS)
def test_num_params(row):
    image_shape, num_classes, expected = ROWS[row]
    config = load(row)
    check(config)
    Augmentation(**config.data.augment)
    model = models.create(config.model_name, num_classes, **config.model)
    params = models.abstract_params(model, image_shape)
    if expected is not None:
        assert models.num_params(params) == expected
    assert jax.tree.leaves(params)


def test_every_config_has_a_row():
    assert {row.partition(":")[0] for row in ROWS} == {
        path.stem for path in (REPO / "configs").glob("*.py")
    }


@pytest.mark.parametrize("path", sorted((REPO / "configs").glob("*.py")), ids=lambda p: p.stem)
def test_unknown_row(path):
    with pytest.raises(UserError, match="nonsense"):
        config_file.load_config(f"{path}:nonsense")


@pytest.mark.parametrize("path", sorted((REPO / "configs").glob("*.py")), ids=lambda p: p.stem)
def test_docstring_has_the_command(path):
    assert f"python -m vitjax.main --config=configs/{path.name}" in path.read_text()


def test_debug_shrinks():
    config = load("vit_cifar100:8p8l,debug")
    assert config.model.patch_size == 8
    assert config.model.num_layers == 2
    assert config.num_epochs == 2
    assert config.data.max_examples == 256


def test_debug_leaves_published_weights_out():
    config = load("vit_base_mnist:debug")
    assert (config.finetune.weights, config.data.input_size) == ("", 64)


@pytest.mark.parametrize("name", ["resnet50", "swin_l"])
def test_debug_shrinks_stages(name):
    config = debug(default(name))
    assert config.model.stage_sizes == (1, 1, 1, 1)
    check(config)


def test_debug_shrinks_hidden_layers():
    config = debug(default("vgg16_bn"))
    assert (config.model.stage_sizes, config.model.hidden_dims) == ((1,) * 5, (64, 64))
    check(config)


def test_configs_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_file.load_config("configs/vit_mnist.py").data.name == "mnist"


def test_not_a_config(tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(UserError, match=r"defines no get_config"):
        config_file.load_config(str(tmp_path / "empty.py"))


def test_nearest_keys():
    assert "optim.name" in nearest_keys("optim.nam", default())
    assert "data.batch_size" in nearest_keys("batch_size", default())
    assert "optim.learning_rate" in nearest_keys("learning_rate", default())


def test_use_model_keeps_shared_options():
    config = default("vit")
    config.model.update(hidden_dim=24, num_heads=3)
    use_model(config, "linformer")
    assert (config.model.hidden_dim, config.model.num_heads) == (24, 3)
    use_model(config, "mixer")
    assert config.model.hidden_dim == 24
    assert config.model.pool == "mean"
    assert "num_heads" not in config.model


def test_use_model_takes_a_variant_with_its_sizes():
    config = default("vit")
    config.model.update(hidden_dim=24, dropout_rate=0.1)
    use_model(config, "vit_s")
    assert (config.model_name, config.model.hidden_dim) == ("vit_s", 384)
    assert config.model.dropout_rate == 0.1
    use_model(config, "resnet50")
    assert config.model.block == "bottleneck"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stage_sizes", (2, 0, 2, 2)),
        ("stage_sizes", ()),
        ("stage_sizes", (2, 1.5, 2, 2)),
        ("num_heads", (3, 6, "a", 24)),
        ("num_heads", (3, 6, 7.5, 24)),
        ("window_size", 0),
        ("mlp_ratio", 0),
        ("drop_path_rate", 1.0),
    ],
)
def test_out_of_range_for_swin(key, value):
    config = default("swin_t")
    check(config)
    config.model[key] = value
    with pytest.raises(UserError, match=rf"config\.model\.{key}="):
        check(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_epochs", 0),
        ("data.batch_size", 0),
        ("optim.learning_rate", 0.0),
        ("optim.learning_rate", float("nan")),
        ("optim.weight_decay", -1.0),
        ("loss.label_smoothing", 1.0),
        ("model.dropout_rate", -0.1),
        ("model.num_heads", 0),
        ("model.stem_dim", 0),
        ("model.num_registers", -1),
        ("model.layer_scale", -0.1),
        ("model.drop_path_rate", 1.0),
        ("schedule.warmup_epochs", -1.0),
        ("seed", -1),
        ("seed", 2**32),
        ("dtype", "float16"),
        ("select_by", "f1"),
        ("data.channels", 2),
    ],
)
def test_out_of_range(key, value):
    config = default()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=rf"config\.{key}="):
        check(config)


@pytest.mark.parametrize(
    ("config", "name", "count"),
    [
        ("vit_light", "", 9),
        ("mixer_mnist", "", 35),
        ("mixer_mnist", "losses", 10),
        ("mixer_mnist", "hyperparameters", 5),
    ],
)
def test_sweeps_have_the_published_members(config, name, count):
    file = f"configs/{config}.py"
    assert len(members(config_file.load_config(file), config_file.load_sweep(file, name))) == count


def test_a_wrong_sweep_is_refused():
    with pytest.raises(UserError, match="unknown sweep 'rates'; choose --sweep from"):
        config_file.load_sweep("configs/mixer_mnist.py", "rates")


def test_a_file_on_a_drive_keeps_its_colon(monkeypatch):
    monkeypatch.setattr(os.path, "splitdrive", ntpath.splitdrive)
    assert config_file.split_argument("C:\\runs\\a.py:4p4l") == ("C:\\runs\\a.py", "4p4l")
    assert config_file.split_argument("a.py:4p4l,debug") == ("a.py", "4p4l,debug")


def test_a_name_that_is_too_long_is_no_config():
    with pytest.raises(UserError, match="no config file xxx"):
        config_file.load_config("x" * 300)
