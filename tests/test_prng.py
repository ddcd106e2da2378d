"""The keys of vitjax.prng behave as independent draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax import prng

N = 1 << 18
DEVIATION = N**-0.5  # of a mean of N independent values of variance 1


def chi_square(values, num_bins):
    """How many standard deviations the counts of values 0 to num_bins - 1 are from even ones."""
    expected = len(values) / num_bins
    counts = np.bincount(values, minlength=num_bins)
    freedom = num_bins - 1
    return (((counts - expected) ** 2 / expected).sum() - freedom) / (2 * freedom) ** 0.5


@pytest.mark.parametrize("bit_width", [8, 16, 32])
def test_bits_are_uniform(bit_width):
    bits = np.asarray(jax.random.bits(prng.key(3), (N,), f"uint{bit_width}"))
    for shift in range(0, bit_width, 8):
        assert abs(chi_square((bits >> shift) & 255, 256)) < 5


@pytest.mark.parametrize("derive", ["fold_in", "split", "seed"])
def test_derived_keys_differ_and_draw_uniformly(derive):
    keys = {
        "fold_in": lambda: jax.vmap(jax.random.fold_in, (None, 0))(prng.key(0), jnp.arange(N)),
        "split": lambda: jax.random.split(prng.key(0), N),
        "seed": lambda: jax.vmap(prng.key)(jnp.arange(N)),
    }[derive]()
    assert len(np.unique(jax.random.key_data(keys), axis=0)) == N
    draws = np.asarray(jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys))
    for column in draws.T:
        assert abs(chi_square((column * 256).astype(int), 256)) < 5
    first, second = ((draws - 0.5) * 12**0.5).T
    assert abs((first * second).mean()) < 4 * DEVIATION
    assert abs((first[1:] * first[:-1]).mean()) < 4 * DEVIATION


def test_a_keys_draws_its_children_and_its_parts_have_nothing_in_common():
    key = prng.key(1)
    children = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(100))
    words = [
        *np.ravel(jax.random.bits(key, (200,))),
        *np.ravel(jax.random.key_data(children)),
        *np.ravel(jax.random.key_data(jax.random.split(key, 100))),
    ]
    assert len(set(words)) == len(words)


def test_normal_numbers_are_normal():
    normal = np.asarray(jax.random.normal(prng.key(0), (N,)))
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert abs((normal**power).mean() - moment) < 15 * DEVIATION


def test_permutations_hold_each_number_once():
    order = jax.random.permutation(prng.key(0), 1000)
    np.testing.assert_array_equal(jnp.sort(order), jnp.arange(1000))


def test_a_key_made_cheap_is_itself_or_drawn_from_it():
    own, other = prng.key(0), jax.random.key(0)
    assert prng.cheap(own) is own
    cheap = prng.cheap(other)
    assert jax.random.key_impl(cheap) == jax.random.key_impl(own)
    expected = jax.random.bits(other, (2,))
    np.testing.assert_array_equal(jax.random.key_data(cheap), expected)


def test_gives_the_same_bits_whatever_the_batch():
    keys = jax.random.split(prng.key(0), 4)
    together = jax.vmap(lambda key: jax.random.bits(key, (5,)))(keys)
    np.testing.assert_array_equal(together[2], jax.random.bits(keys[2], (5,)))
