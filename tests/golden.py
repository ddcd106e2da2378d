"""The golden files of published networks: their arrays, and vitjax's model with their weights."""

import json
from pathlib import Path

import jax
import numpy as np

from vitjax import models
from vitjax.pretrained.fit import fit
from vitjax.pretrained.origins import to_ours

GOLDENS = Path(__file__).parent / "goldens"
TOLERANCE = 1e-5  # of the largest value
NOISE = 2e-7  # for what is 0 but for rounding


def load(case):
    """Returns a file's arrays; those that it packs as dicts by name."""
    with np.load(GOLDENS / f"{case}.npz") as file:
        golden = dict(file)
    for kind in [key.removesuffix("_shapes") for key in golden if key.endswith("_shapes")]:
        shapes = json.loads(str(golden.pop(f"{kind}_shapes")))
        golden[f"{kind}s"] = unpack(golden[f"{kind}s"], shapes)
    return golden


def unpack(values, shapes):
    """One flat array -> {name: array}."""
    ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
    pieces = np.split(values, ends[:-1])
    return {name: x.reshape(shape) for (name, shape), x in zip(shapes.items(), pieces, strict=True)}


def fresh(model, image_shape):
    """Variables of a model as zeros, which shows what a converter does not fill."""
    variables = models.abstract_variables(model, image_shape)
    return jax.tree.map(lambda x: np.zeros(x.shape, np.float32), variables)


def convert(tensors, model, image_shape, **known):
    """A file's arrays as variables of the model, by the public converters, and their notes."""
    _, converted = to_ours(tensors, type(model).__name__, "the golden file")
    given = fresh(model, image_shape)
    return fit(converted, given, model, image_shape, "the golden file", **known)


def assert_near(got, expected, name=""):
    limit = TOLERANCE * np.abs(expected).max() + NOISE
    np.testing.assert_allclose(got, expected, rtol=0, atol=limit, err_msg=name)


def assert_all_near(got, expected):
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert_near(got[name], value, name)
