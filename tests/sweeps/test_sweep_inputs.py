"""What members of a sweep have in common stays as it was, though it is interrupted."""

import shutil

import numpy as np
import pytest
from small_runs import quiet, small

import vitjax
from vitjax.errors import UserError
from vitjax.sweeps.grid import train_grid

TWO_GROUPS = [{"optim.name": "adam"}, {"optim.name": "sgd"}]


def npz(path, num_images):
    """Writes a file of images in two classes, told apart by their brightness."""
    labels = np.arange(num_images) % 2
    noise = np.random.default_rng(0).integers(0, 50, (num_images, 8, 8, 1))
    images = (60 + 120 * labels[:, None, None, None] + noise).astype(np.uint8)
    splits = {"train": slice(8, None), "test": slice(0, 8)}
    arrays = {f"{name}_images": images[at] for name, at in splits.items()}
    np.savez(path, **arrays, **{f"{name}_labels": labels[at] for name, at in splits.items()})


def stop_at_the_second_group(line):
    if line.startswith("training") and "sgd" in line:
        raise KeyboardInterrupt


def test_a_second_group_is_not_trained_on_other_data(tmp_path):
    config = small(**{"data.name": "npz", "data.data_dir": str(tmp_path / "data.npz")})
    npz(tmp_path / "data.npz", 60)
    with pytest.raises(KeyboardInterrupt):
        train_grid(config, TWO_GROUPS, tmp_path / "sweep", say=stop_at_the_second_group)
    npz(tmp_path / "data.npz", 50)
    words = "member name=adam: .* holds a run on other data: labels.train was .*; num_examples"
    with pytest.raises(UserError, match=words):
        train_grid(config, TWO_GROUPS, tmp_path / "sweep", say=quiet)
    npz(tmp_path / "data.npz", 60)
    assert len(train_grid(config, TWO_GROUPS, tmp_path / "sweep", say=quiet)) == 2


def test_a_second_group_does_not_begin_with_other_weights(tmp_path):
    run = tmp_path / "run"
    vitjax.train(small(), run, say=quiet)
    config = small(**{"finetune.weights": str(run), "optim.learning_rate": 1e-9})
    with pytest.raises(KeyboardInterrupt):
        train_grid(config, TWO_GROUPS, tmp_path / "sweep", say=stop_at_the_second_group)
    run.rename(tmp_path / "first")
    vitjax.train(small(seed=1), run, say=quiet)
    words = f"config.finetune.weights={run} are not those that members of .* began with; put them"
    with pytest.raises(UserError, match=words):
        train_grid(config, TWO_GROUPS, tmp_path / "sweep", say=quiet)
    shutil.rmtree(run)
    (tmp_path / "first").rename(run)
    assert len(train_grid(config, TWO_GROUPS, tmp_path / "sweep", say=quiet)) == 2


@pytest.mark.parametrize(
    ("option", "values"), [("name", ("cross_entropy", "mse")), ("label_smoothing", (0.0, 0.1))]
)
def test_losses_of_unlike_kinds_rank_no_members(tmp_path, option, values):
    grid = [{f"loss.{option}": value} for value in values]
    words = rf"cannot rank losses of unlike config\.loss\.{option} .*set config\.select_by=accuracy"
    with pytest.raises(UserError, match=words):
        train_grid(small(select_by="loss"), grid, tmp_path / "sweep", say=quiet)
    assert not (tmp_path / "sweep").exists()
