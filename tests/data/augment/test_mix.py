import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitjax.data.augment.mix import cutmix, mixup, mixup_or_cutmix, symmetric_beta

B, H, W, K = 600, 12, 20, 600

keys = jax.random.split(jax.random.key(0), B)
rng = np.random.default_rng(0)
noise = rng.standard_normal((B, H, W, 3)).astype(np.float32)
identity = np.eye(K, dtype=np.float32)[:B]  # each example has its own class
numbered = np.broadcast_to(np.arange(B, dtype=np.float32)[:, None, None, None], (B, H, W, 1))

draw_beta = jax.jit(jax.vmap(symmetric_beta, in_axes=(0, None)))


def own_weight(targets):
    """The weight of each example's own class; the rest belongs to the example before it."""
    weight = np.asarray(targets)[np.arange(B), np.arange(B)]
    expected = weight[:, None] * identity + (1 - weight[:, None]) * identity[np.arange(B) - 1]
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    return weight


def assert_same_distribution(a, b):
    """Kolmogorov and Smirnov's distance, on a grid off the whole pixels, at about 4 sigma."""
    grid = np.linspace(0.0051, 0.9951, 100)
    cdf_a, cdf_b = (np.mean(np.asarray(x)[:, None] <= grid, axis=0) for x in (a, b))
    assert np.abs(cdf_a - cdf_b).max() < 2 * np.sqrt(1 / len(a) + 1 / len(b))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 1.0, 2.0, 30.0])
def test_symmetric_beta(alpha):
    draws = np.random.default_rng(1).random((20_000, 2), np.float32)
    draws[:3] = [[0, 0.3], [1 - 2**-24, 0.25], [1 - 2**-24, 0]]  # the edges of uniform draws
    ours = np.asarray(draw_beta(draws, alpha))
    assert np.isfinite(ours).all()
    assert ours.min() >= 0
    assert ours.max() <= 1
    assert_same_distribution(ours, np.random.default_rng(2).beta(alpha, alpha, 20_000))
    if alpha == 1:
        assert_same_distribution(ours, np.linspace(0, 1, 20_000))


def test_mixup_blends_image_and_label_alike():
    images, targets = jax.jit(mixup)(keys, noise, identity, alpha=0.4)
    weight = own_weight(targets)
    expected = weight[:, None, None, None] * noise
    expected += (1 - weight[:, None, None, None]) * noise[np.arange(B) - 1]
    np.testing.assert_allclose(images, expected, atol=1e-5)
    assert_same_distribution(weight, np.random.default_rng(3).beta(0.4, 0.4, 20_000))


def boxes(alpha, count):
    """CutMix's boxes [count, H, W] by the paper's code, with NumPy's randomness."""
    numpy_rng = np.random.default_rng(4)
    inside = np.zeros((count, H, W), bool)
    for box in inside:
        side = np.sqrt(1 - numpy_rng.beta(alpha, alpha))
        cut_h, cut_w = int(H * side), int(W * side)
        y, x = numpy_rng.integers(H), numpy_rng.integers(W)
        rows = np.clip([y - cut_h // 2, y + cut_h // 2], 0, H)
        columns = np.clip([x - cut_w // 2, x + cut_w // 2], 0, W)
        box[rows[0] : rows[1], columns[0] : columns[1]] = True
    return inside


def test_cutmix_pastes_a_box_and_weighs_the_label_by_its_pixels():
    images, targets = jax.jit(cutmix)(keys, numbered, identity, alpha=1.0)
    weight = own_weight(targets)
    pasted = np.asarray(images[..., 0]) != numbered[..., 0]
    for i in range(B):
        rows, columns = pasted[i].any(axis=1), pasted[i].any(axis=0)
        np.testing.assert_array_equal(pasted[i], rows[:, None] & columns)
        for line in (rows, columns):  # one run of pixels
            assert np.abs(np.diff(line.astype(int), prepend=0, append=0)).sum() in (0, 2)
        assert (np.asarray(images)[i][pasted[i]] == (i - 1) % B).all()
    np.testing.assert_allclose(weight, 1 - pasted.mean(axis=(1, 2)), atol=1e-6)
    expected = boxes(1.0, 20_000)
    assert_same_distribution(1 - weight, expected.mean(axis=(1, 2)))
    np.testing.assert_allclose(pasted.mean(axis=0), expected.mean(axis=0), atol=0.09)  # 4.5 sigma


def test_mixup_or_cutmix_takes_each_half_of_the_time():
    mixed = functools.partial(mixup_or_cutmix, mixup_alpha=0.4, cutmix_alpha=1.0)
    images, targets = jax.jit(mixed)(keys, noise, identity)
    weight = own_weight(targets)
    difference = np.asarray(images) - noise
    partner = noise[np.arange(B) - 1] - noise
    blend = (1 - weight[:, None, None, None]) * partner
    is_mixup = np.abs(difference - blend).max(axis=(1, 2, 3)) < 1e-5
    whole = (np.abs(difference) < 1e-6) | (np.abs(difference - partner) < 1e-6)
    is_cutmix = whole.all(axis=(1, 2, 3))
    assert (is_mixup | is_cutmix).all()
    only_mixup, only_cutmix = (is_mixup & ~is_cutmix).sum(), (is_cutmix & ~is_mixup).sum()
    assert 0.4 * B < only_mixup < 0.55 * B  # a lambda near 0 or 1 and an empty box are both
    assert 0.4 * B < only_cutmix < 0.6 * B


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_same_keys_same_result_and_alpha_may_be_traced(mix):
    def eight(alpha):
        return mix(keys[:8], noise[:8], identity[:8], alpha=alpha)

    fixed = jax.jit(lambda: eight(0.3))()
    again = jax.jit(lambda: eight(0.3))()
    members = jax.jit(jax.vmap(eight))(jnp.array([0.3, 2.0]))
    for a, b, member in zip(fixed, again, members, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, member[0], atol=1e-5)
        assert not np.allclose(member[0], member[1])
