"""Batch norm beside its parity with torch's (test_transformers_parity.py), and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.parts.convolution import BatchNorm

X = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 2, 2, 5))


def test_statistics_stay_float32_in_bfloat16():
    norm = BatchNorm(dtype=jnp.bfloat16)
    variables = norm.init(jax.random.key(0), X, train=False)
    y, moved = norm.apply(variables, X.astype(jnp.bfloat16), train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    assert {s.dtype for s in jax.tree.leaves(moved)} == {jnp.dtype("float32")}
    mean = np.asarray(X.astype(jnp.bfloat16), np.float64).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(moved["batch_stats"]["mean"], 0.1 * mean, rtol=1e-6)


def test_init_in_training_leaves_the_statistics():
    variables = BatchNorm().init(jax.random.key(0), X, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], np.zeros(5))
    np.testing.assert_array_equal(variables["batch_stats"]["var"], np.ones(5))


def test_one_value_has_no_variance():
    model = models.create("resnet", 3, width=4)
    variables = models.abstract_variables(model, (8, 8, 3))
    images = jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")

    def train(variables, images):
        return model.apply(variables, images, train=True, mutable=["batch_stats"])

    with pytest.raises(UserError, match=r"1 image of 1x1 positions.*config\.data\.batch_size"):
        jax.eval_shape(train, variables, images)


@pytest.mark.parametrize(
    ("option", "choices"), [("block", "basic, bottleneck"), ("norm_statistics", "frozen, moving")]
)
def test_unknown_choice_names_the_option(option, choices):
    model = models.create("resnet", 3, **{option: "nonsense"})
    message = rf"config\.model\.{option}='nonsense' is unknown; choose from {choices}"
    with pytest.raises(UserError, match=message):
        models.abstract_params(model, (8, 8, 1))


@pytest.mark.parametrize(
    ("name", "features"),
    [("resnet18", [64, 128, 256, 512]), ("resnet50", [256, 512, 1024, 2048])],
)
def test_maps_of_the_stages(name, features):
    model = models.create(name, 3)
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), "float32")

    def maps(variables, images):
        return model.apply(
            variables, images, capture_intermediates=lambda m, _: "stage_" in str(m.name)
        )[1]["intermediates"]

    found = jax.eval_shape(maps, models.abstract_variables(model, (224, 224, 3)), images)
    shapes = [found[f"stage_{i}"]["__call__"][0].shape for i in range(4)]
    sides = (56, 28, 14, 7)
    assert shapes == [(2, n, n, width) for n, width in zip(sides, features, strict=True)]
