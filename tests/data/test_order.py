"""The order of an epoch and the keys of its examples."""

import math
from fractions import Fraction

import jax
import numpy as np
import pytest

from vitjax.data import order
from vitjax.data.statistics import channel_statistics


def epoch(seed=0, index=0, examples=13, batch=5, drop=False, **options):
    return order.epoch_order(np.uint32(seed), np.int32(index), examples, batch, drop, **options)


def test_every_example_comes_once():
    got = epoch()
    assert got.indices.shape == (3, 5)
    assert sorted(got.indices[got.mask].tolist()) == list(range(13))
    assert int(got.mask[:2].sum()) == 10


def test_drop_remainder():
    got = epoch(drop=True)
    assert got.indices.shape == (2, 5)
    assert got.mask.all()
    assert len(set(got.indices.ravel().tolist())) == 10


def test_repeats_are_copies_of_fewer_images_in_as_many_steps():
    got, alone = epoch(batch=6, repeats=3), epoch(batch=6)
    np.testing.assert_array_equal(got.indices, np.tile(got.indices[:, :2], 3))
    np.testing.assert_array_equal(got.indices[:, :2].ravel(), alone.indices.ravel()[:6])
    np.testing.assert_array_equal(got.mask, alone.mask)
    assert len(np.unique(got.indices)) == 6


def test_copies_have_keys_of_their_own():
    indices = np.array([7, 1, 7, 1, 7, 1], np.int32)
    numbers = order.copy_numbers(indices, 13, 3)
    assert numbers.tolist() == [7, 1, 20, 14, 33, 27]
    np.testing.assert_array_equal(order.copy_numbers(indices, 13, 1), indices)


def test_depends_on_seed_and_epoch_alone():
    np.testing.assert_array_equal(epoch(3, 4).indices, epoch(3, 4).indices)
    assert not np.array_equal(epoch(3, 4).indices, epoch(3, 5).indices)
    assert not np.array_equal(epoch(3, 4).indices, epoch(2, 4).indices)


@pytest.mark.parametrize(
    ("examples", "batch", "drop", "expected"),
    [(13, 5, False, 3), (13, 5, True, 2), (10, 5, False, 2)],
)
def test_num_batches(examples, batch, drop, expected):
    assert order.num_batches(examples, batch, drop) == expected


def test_an_example_has_its_key_wherever_it_stands():
    keys = order.example_keys(np.uint32(0), np.int32(2), np.array([7, 1, 7]))
    data = jax.random.key_data(keys)
    np.testing.assert_array_equal(data[0], data[2])
    assert not np.array_equal(data[0], data[1])
    other = order.example_keys(np.uint32(0), np.int32(3), np.array([7]))
    assert not np.array_equal(data[0], jax.random.key_data(other)[0])


def test_streams_differ():
    seed, zero = np.uint32(0), np.int32(0)
    init, dropout = order.init_key(seed), order.dropout_key(seed, zero)
    assert not np.array_equal(jax.random.key_data(init), jax.random.key_data(dropout))


def test_channel_statistics_have_the_last_bits_of_exact_sums():
    images = np.random.RandomState(0).randint(0, 256, (50, 17, 19, 1), np.uint8)
    (mean,), (std,) = channel_statistics(images)
    levels = [Fraction(int(level), 255) for level in images.ravel()]
    exact = sum(levels) / len(levels)
    assert mean == float(exact)
    assert std == math.sqrt(sum((level - exact) ** 2 for level in levels) / len(levels))


def test_channel_statistics():
    images = np.random.RandomState(0).randint(0, 256, (7, 4, 5, 3), np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-9)
