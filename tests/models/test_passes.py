"""Gradients written by hand equal JAX's own."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import prng
from vitjax.models.parts import passes
from vitjax.models.parts.attend import attend, attend_by
from vitjax.models.parts.convolve import convolve

KEYS = jax.random.split(jax.random.key(0), 6)


def normal(i, *shape):
    return jax.random.normal(KEYS[i], shape)


def agree(function, reference, *arguments):
    """Both give the same result, and the same gradient of every argument."""
    result, pull = jax.vjp(function, *arguments)
    expected, expected_pull = jax.vjp(reference, *arguments)
    weights = normal(5, *expected.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    for gradient, wanted in zip(pull(weights), expected_pull(weights), strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=2e-5, atol=2e-5)


def softmax_attention(q, k, v, bias=None):
    logits = q @ k * q.shape[-1] ** -0.5
    return jax.nn.softmax(logits if bias is None else logits + bias) @ v


@pytest.mark.parametrize("tokens", [5, 40])  # XLA's CPU backend takes two ways
def test_attention(tokens):
    q, k, v = normal(0, 2, 3, tokens, 4), normal(1, 2, 3, 4, 7), normal(2, 2, 3, 7, 4)
    agree(attend, softmax_attention, q, k, v)


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 5, 7), (2, 3, 5, 7)])
def test_attention_with_a_bias(shape):
    q, k, v = normal(0, 2, 3, 5, 4), normal(1, 2, 3, 4, 7), normal(2, 2, 3, 7, 4)
    agree(attend, softmax_attention, q, k, v, normal(3, *shape))


def test_attention_with_dropout():
    key = prng.key(1)
    q, k, v = normal(0, 2, 3, 5, 4), normal(1, 2, 3, 4, 7), normal(2, 2, 3, 7, 4)
    kept = attend(jnp.zeros((2, 3, 5, 4)), k, jnp.eye(7), key=key, dropout_rate=0.25) > 0
    assert 0.6 < kept.mean() < 0.9

    def reference(q, k, v):
        weights = jax.nn.softmax(q @ k * q.shape[-1] ** -0.5)
        return jnp.where(kept, weights / 0.75, 0) @ v

    agree(functools.partial(attend, key=key, dropout_rate=0.25), reference, q, k, v)


@pytest.mark.parametrize("axes", ["nm", "mn"])
def test_attention_with_weights_either_way_round(axes):
    q, k, v = normal(0, 2, 3, 5, 4), normal(1, 2, 3, 4, 7), normal(2, 2, 3, 7, 4)

    def function(q, k, v, bias):
        return attend_by(axes, q / 2, k, v, bias, None, jnp.zeros(()))

    agree(function, softmax_attention, q, k, v, normal(3, 3, 5, 7))


def test_attention_to_logits_beyond_the_exponential_is_finite():
    q, k, v = jnp.full((1, 2, 4), 50.0), jnp.full((1, 4, 3), 50.0), normal(0, 1, 3, 4)
    out, pull = jax.vjp(attend, q, k, v)
    np.testing.assert_allclose(out, jnp.broadcast_to(v.mean(1), (1, 2, 4)), rtol=1e-5)
    assert all(jnp.isfinite(gradient).all() for gradient in pull(out))


def test_linear():
    agree(passes.linear, jnp.dot, normal(0, 2, 3, 4), normal(1, 4, 5))


def test_linear_in_parts():
    x, kernel = normal(0, 2, 3, 4), normal(1, 4, 6)
    for i, part in enumerate(passes.linear_in_parts(x, kernel, 3)):
        np.testing.assert_allclose(part, (x @ kernel)[..., 2 * i : 2 * i + 2], rtol=1e-5)


@pytest.mark.parametrize("function", [passes.patch_linear, passes.patch_convolution])
def test_patch_linear_is_a_convolution(function):
    images, kernel = normal(0, 2, 6, 9, 2), normal(1, 3 * 3 * 2, 5)

    def convolution(images, kernel):
        y = jax.lax.conv_general_dilated(
            images,
            kernel.reshape(3, 3, 2, 5),
            (3, 3),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y.reshape(2, 6, 5)

    agree(
        lambda images, kernel: passes.patch_linear(images, kernel, 3), convolution, images, kernel
    )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_convolution(size, stride):
    def reference(x, kernel):
        half = (size // 2, size // 2)
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), (half, half), dimension_numbers=dimensions
        )

    def function(x, kernel):
        return convolve(x, kernel, stride)

    # Windows leave 0, 1 and 2 pixels unread; the last are of fewer outputs than the kernel has.
    for height, width in ((7, 8), (9, 10), (1, 2)):
        agree(function, reference, normal(0, 3, height, width, 2), normal(1, size, size, 2, 4))


@pytest.mark.parametrize("pixels", [8, 4])
@pytest.mark.parametrize("members", [0, 2])
def test_convolutions_in_a_loop_are_those_that_are_fast_on_a_cpu(members, pixels):
    def train(x, kernel):
        def step(_, kernel):
            by = jax.grad(lambda x, k: jnp.sum(convolve(x, k, 2) ** 2), argnums=(0, 1))
            by_x, by_kernel = by(x, kernel)
            return kernel - by_kernel - jnp.sum(by_x)

        return jax.lax.fori_loop(0, 3, step, kernel)

    shape = (members,) if members else ()
    function = jax.vmap(train) if members else train
    arguments = normal(0, *shape, 2, pixels, pixels, 64), normal(1, *shape, 3, 3, 64, 64)
    compiled = jax.jit(function).lower(*arguments).compile().as_text()
    orders = re.findall(r" convolution\(.*dim_labels=([^,\s]*)", compiled)
    assert set(orders) <= {"b01f_01io->b01f"}
    assert bool(orders) == (pixels > 4)  # fewer outputs than the kernel has pixels: products


def test_gelu():
    agree(passes.gelu, functools.partial(nn.gelu, approximate=False), 3 * normal(0, 50))


def test_layer_norm():
    x, scale, bias = 2 + 3 * normal(0, 4, 5, 8), normal(1, 8), normal(2, 8)

    def reference(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}}
        return nn.LayerNorm(epsilon=1e-3).apply(variables, x)

    agree(lambda *arguments: passes.layer_norm(*arguments, 1e-3), reference, x, scale, bias)


@pytest.mark.parametrize("name", ["attention", "gelu", "layer_norm", "linear"])
def test_half_precision_stays_half(name):
    x = normal(0, 2, 8, 8).astype(jnp.bfloat16)
    ones = jnp.ones(8)
    function = {
        "attention": lambda x: attend(x, x, x),
        "gelu": passes.gelu,
        "layer_norm": lambda x: passes.layer_norm(x, ones, ones, 1e-5),
        "linear": lambda x: passes.linear(x, x[0]),
    }[name]
    result, pull = jax.vjp(function, x)
    assert result.dtype == pull(result)[0].dtype == jnp.bfloat16
