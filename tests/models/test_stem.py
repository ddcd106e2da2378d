"""Stems against plain NumPy, and their errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from vitjax import models
from vitjax.errors import UserError
from vitjax.models.parts import passes
from vitjax.models.parts.stem import ConvStem

KEY = jax.random.key(0)


@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_patch_stem_projects_each_patch(stem):
    images = jax.random.normal(KEY, (2, 4, 6, 3))
    module = models.PatchStem(hidden_dim=5, patch_size=2, stem=stem)
    variables = module.init(KEY, images)
    params = variables["params"].get("embedding", variables["params"])
    kernel = np.asarray(params["kernel"]).reshape(12, 5)
    bias = params["bias"] = jax.random.normal(KEY, (5,))
    got = module.apply(variables, images)
    assert got.shape == (2, 6, 5)
    patch = np.asarray(images)[1, 2:4, 4:6].ravel()  # last patch, rows then columns then channels
    np.testing.assert_allclose(got[1, 5], patch @ kernel + bias, atol=1e-5)


def test_patch_size_must_divide_the_image():
    with pytest.raises(UserError, match=r"patch_size=5 .*28x28.*config\.model\.patch_size"):
        jax.eval_shape(models.PatchStem(8, 5).init, KEY, jnp.zeros((1, 28, 28, 1)))


def convolved(image, kernel):
    """A 3x3 convolution, ReLU, and the largest of each 3x3 window of stride 2, all padded."""
    inputs, outputs = kernel.shape[2:]
    maps = [
        sum(correlate2d(image[..., i], kernel[..., i, o], mode="same") for i in range(inputs))
        for o in range(outputs)
    ]
    padded = np.pad(np.maximum(maps, 0), [(0, 0), (1, 1), (1, 1)])
    _, height, width = np.shape(maps)
    pooled = [
        [padded[:, y : y + 3, x : x + 3].max(axis=(1, 2)) for x in range(0, width, 2)]
        for y in range(0, height, 2)
    ]
    return np.array(pooled)


@pytest.mark.parametrize("patch_size", [2, 4])
def test_conv_stem(patch_size):
    images = np.random.RandomState(0).randn(2, 8, 12, 3).astype(np.float32)
    module = ConvStem(hidden_dim=5, patch_size=patch_size, inner_dim=4)
    variables = module.init(KEY, images)
    kernels = [np.asarray(variables["params"][f"kernel_{i}"]) for i in range(patch_size // 2)]
    expected = [functools.reduce(convolved, kernels, image).reshape(-1, 5) for image in images]
    np.testing.assert_allclose(module.apply(variables, images), expected, atol=1e-5)


def test_max_pool_is_alike_on_every_platform():
    x = np.random.RandomState(0).permutation(2 * 6 * 8 * 3).reshape(2, 6, 8, 3)  # no two alike
    x = jnp.asarray(x, jnp.float32) - 100
    weights = np.random.RandomState(1).randn(2, 3, 4, 3)

    def value_and_gradient(pool):
        return jax.value_and_grad(lambda x: jnp.sum(pool(x) * weights))(x)

    here, elsewhere = map(value_and_gradient, (passes.max_pool, passes.max_of_windows))
    jax.tree.map(np.testing.assert_allclose, here, elsewhere)


@pytest.mark.parametrize("patch_size", [1, 6])
def test_a_conv_stem_halves(patch_size):
    model = models.create("vit", 3, stem="conv3x3", patch_size=patch_size)
    expected = rf"patch_size={patch_size} with stem='conv3x3'.*power of 2; change config\.model\."
    with pytest.raises(UserError, match=expected):
        models.abstract_params(model, (12, 12, 3))


def test_a_conv_stem_needs_images_that_halve():
    model = models.create("vit", 3, stem="conv3x3", patch_size=4)
    with pytest.raises(UserError, match=r"patch_size=4 does not divide an image of 30x32 pixels"):
        models.abstract_params(model, (30, 32, 3))


def test_a_conv_stem_has_no_norm_of_patches():
    model = models.create("vit", 3, stem="conv3x3", stem_norm=True)
    with pytest.raises(UserError, match=r"stem_norm=True.*change config\.model\.stem_norm or"):
        models.abstract_params(model, (32, 32, 3))


def test_a_conv_stem_starts_with_the_variance_that_relu_halves():
    kernel = ConvStem(256, 2).init(KEY, jnp.zeros((1, 4, 4, 16)))["params"]["kernel_0"]
    assert kernel.shape == (3, 3, 16, 256)
    assert np.std(kernel) == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.02)
