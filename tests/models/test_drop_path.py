"""Stochastic depth: whole branches of an example are dropped, deeper ones more often."""

import jax
import numpy as np
import pytest

from vitjax import models
from vitjax.errors import UserError

KEY = jax.random.key(0)
STAGES = dict(patch_size=2, hidden_dim=8, stage_sizes=(2, 2), num_heads=(1, 2), window_size=3)
BLOCKS = dict(patch_size=2, hidden_dim=8, num_layers=4, mlp_dim=8)
MODELS = {
    "swin": ("swin", STAGES),
    "vit": ("vit", BLOCKS | {"num_heads": 2}),
    "vit of equal layers": ("vit", BLOCKS | {"num_heads": 2, "clone_layers": True}),
    "mixer": ("mixer", BLOCKS),
}


@pytest.mark.parametrize("case", MODELS)
def test_drop_path_grows_with_the_depth(case):
    name, options = MODELS[case]
    model = models.create(name, 3, **options, drop_path_rate=0.3)
    images = jax.random.normal(KEY, (64, 6, 6, 1))
    variables = jax.jit(model.init)(KEY, images[:1])

    @jax.jit
    def branches(images):
        _, collected = model.apply(
            variables, images, train=True, rngs={"dropout": KEY},
            capture_intermediates=lambda module, _: "drop_path" in str(module.name),
        )  # fmt: skip
        return collected["intermediates"]

    dropped = {}
    for path, branch in jax.tree.leaves_with_path(branches(images)):
        zero = np.asarray(branch).reshape(64, -1) == 0
        assert (zero.all(axis=1) == zero.any(axis=1)).all()  # an example's whole branch, or none
        place = "/".join(key.key for key in path[:2])
        dropped[place] = dropped.get(place, 0) + zero.all(axis=1).sum()
    rates = dict(zip(sorted(dropped), (0.0, 0.1, 0.2, 0.3), strict=True))
    for place, rate in rates.items():
        assert abs(dropped[place] - 128 * rate) <= 3 * (128 * rate * (1 - rate)) ** 0.5, place


@pytest.mark.parametrize("case", MODELS)
def test_drop_path_is_for_training(case):
    name, options = MODELS[case]
    model = models.create(name, 3, **options, drop_path_rate=0.3)
    images = jax.random.normal(KEY, (2, 6, 6, 1))
    variables = jax.jit(model.init)(KEY, images)
    plain = jax.jit(models.create(name, 3, **options).apply)(variables, images)
    np.testing.assert_array_equal(jax.jit(model.apply)(variables, images), plain)


def test_what_no_skip_connection_carries_is_not_dropped():
    model = models.create("vit", 3, **BLOCKS, num_heads=2, drop_path_rate=0.3, skip=False)
    with pytest.raises(UserError, match=r"drop_path_rate=0\.3 with skip=False would drop all"):
        models.abstract_params(model, (6, 6, 1))
