"""The memory of a step is predicted from its program, and too little is said before it runs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from commands import main
from tiny import MESH, SEED, recipe

from vitjax import train
from vitjax.config_file import load_config
from vitjax.data.on_device import AtRest, abstract_images
from vitjax.errors import UserError
from vitjax.models import create
from vitjax.training.ahead import memory
from vitjax.training.step import Programs, aot


def compiled_step(parts=1):
    """The compiled training of a ViT on 16 images of 64x64, in `parts` micro-batches."""
    model = create("vit", 3, patch_size=4, num_layers=4, hidden_dim=32, mlp_dim=32)
    programs = Programs(
        recipe(
            model,
            image_shape=(64, 64, 1),
            num_examples=16,
            batch_size=16,
            accumulation_steps=parts,
        ),
        MESH,
    )
    split = abstract_images((16,), (64, 64, 1))
    order = programs.epoch_order(SEED, np.int32(0))
    state = jax.eval_shape(programs.init, SEED)
    return aot(
        programs.recipe,
        (programs.train, (state, SEED, AtRest(split, order, np.int32(0)), np.int32(0))),
    )[0]


def test_the_peak_of_a_program_by_hand():
    arrays = [jax.ShapeDtypeStruct((1000, 1000), jnp.float32)] * 2
    # An argument of 4 MB that is given up for the result, another, and the product between them.
    compiled = jax.jit(lambda a, b: jnp.sin(a @ b) @ b, donate_argnums=0).lower(*arrays).compile()
    assert memory.peak_bytes(compiled) == pytest.approx(12e6, rel=0.05)


@pytest.mark.slow
def test_micro_batches_lower_the_peak():
    whole = memory.peak_bytes(compiled_step())
    assert memory.peak_bytes(compiled_step(parts=4)) < 0.6 * whole


class Device:
    """One with a megabyte."""

    def __init__(self, platform):
        self.platform = self.device_kind = platform

    def memory_stats(self):
        return {"bytes_limit": 2**20}


@pytest.mark.parametrize(
    ("platform", "can_remat", "can_split", "others"),
    [
        ("gpu", True, False, r"set config\.model\.remat=true, "),
        ("gpu", False, False, ""),  # the model has no such option, or it is set
        ("cpu", True, False, ""),
        ("cpu", False, True, r"raise config\.mesh\.fsdp, "),
    ],
)
def test_too_little_memory_is_refused(platform, can_remat, can_split, others):
    message = (
        rf"a step on 16 images needs .* GiB, {platform} has 0\.000977; raise "
        rf"config\.optim\.accumulation_steps above 1, {others}or lower config\.data\.batch_size"
    )
    can = {"can_remat": can_remat, "can_split": can_split}
    with pytest.raises(UserError, match=message):
        memory.check_fits(compiled_step(), Device(platform), 16, 1, **can)


def test_validation_that_does_not_fit_is_refused_before_an_epoch(tmp_path, monkeypatch):
    for check in ("check_state_fits", "check_fits"):
        monkeypatch.setattr(memory, check, lambda *given, **options: None)
    monkeypatch.setattr(memory, "limit_bytes", lambda device: 1000)
    message = (
        r"validation on 32 images at once needs .* GiB, cpu has 9\.31e-07; lower config\.data\.ev"
    )
    with pytest.raises(UserError, match=message):
        train(load_config("configs/vit_digits.py:debug"), tmp_path / "run", say=lambda line: None)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("vit", {}, True),
        ("vit", {"remat": True}, False),
        ("swin", {}, False),
        ("resnet", {}, False),
        ("vgg", {}, False),
    ],
)
def test_only_a_model_with_remat_off_can_use_it(name, options, expected):
    assert memory.can_remat(create(name, 3, **options)) == expected


@pytest.mark.parametrize(("ema_decay", "copies"), [(0.0, 4), (0.9, 5)])
def test_what_training_keeps_by_hand(ema_decay, copies):
    """Of Adam: parameters, gradients, two moments; and averages."""
    kept = memory.state_bytes(recipe(tx=optax.adam(1e-3), ema_decay=ema_decay), MESH)
    assert kept == copies * 4 * 15 + 4  # 15 parameters, and a count


def test_a_model_larger_than_the_memory_is_refused_before_it_is_made(tmp_path):
    wide = ["--config.model.hidden_dim=262144", "--config.model.mlp_dim=1048576"]
    out, error = main(f"--workdir={tmp_path / 'run'}", *wide, code=1)
    assert "initialising" not in out
    assert re.fullmatch(
        r"error: [\d,]+ parameters with their gradients and the optimiser's state need \S+ GiB, "
        r"cpu has \S+; lower config\.model\.num_layers or its widths, or choose .*\n",
        error,
    )


@pytest.mark.slow
def test_a_run_that_does_not_fit_ends_in_one_line(tmp_path):
    _, error = main(
        f"--workdir={tmp_path / 'run'}",
        "--config.data.image_size=1024",
        "--config.data.max_examples=64",
        "--config.data.batch_size=32",
        "--config.model.patch_size=8",
        "--config.data.augment.crop_padding=0",
        "--config.data.augment.rotation_degrees=0",
        "--config.model.num_layers=1",
        code=1,
    )
    assert "a step on 32 images needs" in error
    assert "Traceback" not in error
