"""Dropout by hashed indices behaves as independent draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax.models.parts.dropout import Dropout

N = 1 << 18
DEVIATION = N**-0.5  # of a mean of N independent values of variance 1


def apply(rate, seed=0, shape=(N,), **options):
    rngs = {"dropout": jax.random.key(seed)}
    return Dropout(rate, **options).apply({}, jnp.ones(shape), train=True, rngs=rngs)


def dropped(rate, seed=0, shape=(N,), **options):
    return np.asarray(apply(rate, seed, shape, **options))


def standard(values):
    return (values - values.mean()) / values.std()


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_drops_its_share_and_scales_the_rest(rate):
    y = dropped(rate)
    np.testing.assert_allclose(np.unique(y), [0.0, 1 / (1 - rate)], rtol=1e-6)
    deviation = (rate * (1 - rate)) ** 0.5 * DEVIATION
    assert abs((y == 0).mean() - rate) < 4 * deviation


@pytest.mark.parametrize("lag", [1, 2, 16, 64, 1 << 15])
def test_neighbours_are_independent(lag):
    y = standard(dropped(0.5))
    assert abs((y[lag:] * y[:-lag]).mean()) < 4 * DEVIATION


def test_keys_are_independent():
    first, second = (standard(dropped(0.5, seed)) for seed in (0, 1))
    assert abs((first * second).mean()) < 4 * DEVIATION
    # Nor is one the other shifted, whatever the shift.
    product = np.fft.fft(first) * np.conj(np.fft.fft(second))
    assert np.abs(np.fft.ifft(product)).max() < 6 * N**0.5


def test_nothing_is_dropped_outside_training_or_at_rate_0():
    x = jnp.arange(6.0)
    np.testing.assert_array_equal(Dropout(0.5).apply({}, x, train=False), x)
    np.testing.assert_array_equal(Dropout(0.0).apply({}, x, train=True), x)


def test_axes_can_share_a_decision():
    y = dropped(0.5, shape=(64, 8, 4), broadcast_dims=(1, 2))
    assert {tuple(np.unique(row)) for row in y} == {(0.0,), (2.0,)}


def test_the_rate_may_be_traced():
    traced = jax.jit(
        lambda rate: Dropout(rate).apply(
            {}, jnp.ones(N), train=True, rngs={"dropout": jax.random.key(0)}
        )
    )
    np.testing.assert_array_equal(traced(0.25), dropped(0.25))
