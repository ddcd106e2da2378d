"""RandAugment, AutoAugment and TrivialAugment: what they draw, and how strong."""

import functools

import golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax.data.augment.operations import OPERATIONS, SIGNED, apply_operation
from vitjax.data.augment.policies import (
    auto_augment_cifar10,
    auto_augment_table,
    rand_augment,
    rand_augment_strengths,
    trivial_augment_strengths,
    trivial_augment_wide,
)
from vitjax.errors import UserError

SHAPE = (12, 12)
NUM_DRAWN = 14  # of RandAugment and TrivialAugment
RAND, WIDE = rand_augment_strengths(*SHAPE), trivial_augment_strengths()

apply = jax.jit(
    functools.partial(apply_operation, largest=RAND[-1], method="gather"),
)


@pytest.fixture(autouse=True, scope="module")
def optimised():
    """Compiles as users do: two programs are compared bit for bit here."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="module")
def torchvisions():
    return golden.load("policies")


def noise(low=0, high=256, shape=SHAPE):
    pixels = np.random.default_rng(0).integers(low, high, (*shape, 3), dtype=np.uint8)
    return jnp.float32(pixels)


@functools.cache
def operations_with(largest):
    """apply_operation for many operations at once, whose strengths are up to `largest`."""
    one = functools.partial(apply_operation, largest=np.array(largest))
    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))


def outcomes(image, strengths, largest):
    """{bytes of the result: names} of every operation that is drawn, with either sign."""
    ops = np.arange(NUM_DRAWN)
    found: dict[bytes, set] = {}
    for sign in (1, -1):
        signs = np.where(SIGNED, sign, 1)[:NUM_DRAWN]
        results = operations_with(tuple(largest))(image, ops, signs * strengths[:NUM_DRAWN])
        for op, result in zip(ops, results, strict=True):
            found.setdefault(np.asarray(result).tobytes(), set()).add((OPERATIONS[op], sign))
    return found


def draws(policy, image, seed, count):
    """How often a policy gives each result: {bytes: number}."""
    keys = jax.random.split(jax.random.key(seed), count)
    counts: dict[bytes, int] = {}
    for result in np.asarray(jax.jit(jax.vmap(lambda key: policy(key, image)))(keys)):
        counts[result.tobytes()] = counts.get(result.tobytes(), 0) + 1
    return counts


def assert_drawn(counts, expected):
    """Counts are the expected means, {bytes: number}, to 6 sigma, and there are no others."""
    assert set(counts) <= set(expected)
    for result, mean in expected.items():
        assert abs(counts.get(result, 0) - mean) < 6 * np.sqrt(mean) + 1


@pytest.mark.slow
def test_rand_augment_draws_each_operation_and_sign_alike():
    image = noise(20, 230)
    expected = outcomes(image, RAND[20], RAND[20])
    assert sum(len(names) for names in expected.values()) == 2 * NUM_DRAWN
    counts = draws(functools.partial(rand_augment, num_ops=1, magnitude=20), image, 0, 2800)
    assert_drawn(counts, {result: 100 * len(names) for result, names in expected.items()})


def test_rand_augment_chains_its_operations():
    image = noise()
    second = set()
    for result in outcomes(image, RAND[9], RAND[9]):
        between = np.frombuffer(result, np.float32).reshape(image.shape)
        second |= set(outcomes(between, RAND[9], RAND[9]))
    counts = draws(rand_augment, image, 1, 64)
    assert set(counts) <= second
    assert len(counts) > 40


@pytest.mark.slow
def test_trivial_augment_draws_operations_strengths_and_signs_alike():
    image = noise(20, 230)
    expected: dict[bytes, float] = {}
    for strengths in WIDE:
        for result, names in outcomes(image, strengths, WIDE[-1]).items():
            expected[result] = expected.get(result, 0) + len(names)
    assert sum(expected.values()) == 2 * NUM_DRAWN * 31
    assert len(expected) > 300
    counts = draws(trivial_augment_wide, image, 2, 10 * 868)
    assert_drawn(counts, {result: 10 * number for result, number in expected.items()})


def test_trivial_augments_strengths_are_torchvisions(torchvisions):
    for place, name in enumerate(OPERATIONS[:NUM_DRAWN]):
        np.testing.assert_array_equal(WIDE[:, place], torchvisions[f"trivial: {name}"], name)


def test_trivial_augments_strengths_by_hand():
    def of(name):
        return WIDE[:, OPERATIONS.index(name)]

    assert of("TranslateX")[[0, 15, 30]] == pytest.approx([0, 16, 32])
    assert of("Rotate")[[0, 1, 20, 30]].tolist() == [0, 4.5, 90, 135]
    assert of("Posterize")[[0, 5, 30]].tolist() == [8, 7, 2]
    assert of("Solarize")[[0, 10, 30]].tolist() == [255, 170, 0]
    np.testing.assert_allclose(of("ShearY")[[1, 30]], [0.033, 0.99], rtol=1e-6)


def test_auto_augments_strengths_are_torchvisions(torchvisions):
    table = rand_augment_strengths(24, 33, bins=10)
    for place, name in enumerate(OPERATIONS[1:], start=1):  # it has no Identity
        np.testing.assert_array_equal(table[:, place], torchvisions[f"autoaugment: {name}"], name)


def test_auto_augments_pairs_are_torchvisions(torchvisions):
    ops, probabilities, strengths = auto_augment_table(24, 33)
    names = np.array(OPERATIONS)[ops]
    np.testing.assert_array_equal(names, torchvisions["names"])
    np.testing.assert_array_equal(probabilities, np.float32(torchvisions["probabilities"]))
    for pair in np.ndindex(25, 2):
        of_torchvision = torchvisions[f"autoaugment: {names[pair]}"][torchvisions["places"][pair]]
        assert strengths[pair] == of_torchvision


def test_auto_augments_pairs_by_hand():
    ops, probabilities, strengths = auto_augment_table(32, 32)

    def pair(number):
        names = [OPERATIONS[op] for op in ops[number]]
        return list(zip(names, probabilities[number], strengths[number], strict=True))

    assert pair(0)[0] == ("Invert", np.float32(0.1), 0)
    assert pair(1)[0] == ("Rotate", np.float32(0.7), pytest.approx(30 * 2 / 9))
    assert pair(1)[1] == ("TranslateX", np.float32(0.3), pytest.approx(150 / 331 * 32))
    assert pair(5)[1] == ("Posterize", np.float32(0.3), 5)
    assert pair(14)[0] == ("Solarize", 0.5, pytest.approx(255 * 7 / 9))
    assert pair(24)[1] == ("AutoContrast", np.float32(0.9), 0)


def test_auto_augments_results_are_torchvisions(torchvisions):
    ops, probabilities, strengths = auto_augment_table(*SHAPE)
    for pair, expected in enumerate(torchvisions["results"]):
        image = jnp.float32(torchvisions["image"])
        for op, probability, strength in zip(
            ops[pair], probabilities[pair], strengths[pair], strict=True
        ):
            if probability:
                image = apply(image, op, strength)
        # A tie of nearest pixels, or of a product's rounding, may fall to the other side.
        assert np.mean(np.abs(image - expected).max(axis=-1) > 1) < 0.02, pair


@pytest.mark.slow
def test_auto_augment_draws_pairs_and_does_each_operation_by_its_probability():
    image = noise(20, 230)
    ops, probabilities, strengths = auto_augment_table(*SHAPE)
    one = jax.jit(functools.partial(apply_operation, largest=RAND[-1]))
    expected: dict[bytes, float] = {}
    for pair in range(25):
        now = {image.tobytes(): 25**-1}
        for op, p, strength in zip(ops[pair], probabilities[pair], strengths[pair], strict=True):
            after: dict[bytes, float] = {}
            for before, share in now.items():
                pixels = np.frombuffer(before, np.float32).reshape(image.shape)
                signs = (1, -1) if SIGNED[op] else (1,)
                for sign in signs:
                    done = np.asarray(one(pixels, op, sign * strength)).tobytes()
                    after[done] = after.get(done, 0) + float(p) * share / len(signs)
                after[before] = after.get(before, 0) + float(1 - p) * share
            now = {result: share for result, share in after.items() if share > 0}
        for result, share in now.items():
            expected[result] = expected.get(result, 0) + share
    assert sum(expected.values()) == pytest.approx(1)
    counts = draws(auto_augment_cifar10, image, 3, 4000)
    assert_drawn(counts, {result: 4000 * share for result, share in expected.items()})


def test_images_are_rounded_first():
    result = jax.jit(trivial_augment_wide)(jax.random.key(0), jnp.full((*SHAPE, 3), 3.7))
    np.testing.assert_array_equal(result, jnp.round(result))


@pytest.mark.parametrize("policy", [rand_augment, auto_augment_cifar10, trivial_augment_wide])
def test_policies_refuse_other_channels(policy):
    with pytest.raises(UserError, match=r"1 or 3 channels, not 4; set config\.data\.augment\.rand"):
        policy(jax.random.key(0), jnp.zeros((8, 8, 4)))
