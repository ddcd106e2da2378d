"""Mixup and CutMix: each example is mixed with the one before it in the batch, labels too."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, jax.Array]  # of one example's pixels [H or 1, W or 1, 1], its label


class Probabilities(NamedTuple):
    """Mixed labels: torch weighs such targets otherwise than labels (training/losses.py)."""

    rows: jax.Array  # [B, K], each sums to 1


Targets = jax.Array | Probabilities  # [B, K]: one-hot labels, or what mixing makes of them


def rows_of(targets: Targets) -> jax.Array:
    """Returns the targets [B, K] whatever they are."""
    return targets.rows if isinstance(targets, Probabilities) else targets


def mixup(
    keys: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Blends whole images, each by its own lambda ~ Beta(alpha, alpha), drawn from its own key.

    Mixup (https://arxiv.org/abs/1710.09412). Keys [B], images [B, H, W, C] and targets [B, K]
    (class probabilities) -> images and targets of the same shapes.
    """

    def weights(key: jax.Array) -> Weights:
        return _mixup_weights(jax.random.uniform(key, (2,)), alpha)

    return _mix(images, targets, jax.vmap(weights)(keys))


def cutmix(
    keys: jax.Array, images: jax.Array, targets: jax.Array, *, alpha: float | jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Pastes a box from the partner; the label's weight is the exact share of pixels that stay.

    CutMix (https://arxiv.org/abs/1905.04899): the box has 1 - lambda of the image's area,
    lambda ~ Beta(alpha, alpha), and a uniform centre, and is cut off at the image's border.
    Shapes as in `mixup`.
    """

    def weights(key: jax.Array) -> Weights:
        return _cutmix_weights(jax.random.uniform(key, (4,)), alpha, images.shape[1:3])

    return _mix(images, targets, jax.vmap(weights)(keys))


def mixup_or_cutmix(
    keys: jax.Array,
    images: jax.Array,
    targets: jax.Array,
    *,
    mixup_alpha: float | jax.Array,
    cutmix_alpha: float | jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Mixes each example by `mixup` or by `cutmix`, with probability 1/2; shapes as in `mixup`."""

    def weights(key: jax.Array) -> Weights:
        draws = jax.random.uniform(key, (5,))
        own, label = _mixup_weights(draws[1:3], mixup_alpha)
        own_box, label_box = _cutmix_weights(draws[1:], cutmix_alpha, images.shape[1:3])
        use_box = draws[0] < 0.5
        return jnp.where(use_box, own_box, own), jnp.where(use_box, label_box, label)

    return _mix(images, targets, jax.vmap(weights)(keys))


def symmetric_beta(draws: jax.Array, alpha: float | jax.Array) -> jax.Array:
    """Two draws uniform in [0, 1) -> one of Beta(alpha, alpha): exact for any alpha > 0, no loop.

    By way of Student's t with 2 alpha degrees of freedom (Devroye, Non-Uniform Random Variate
    Generation, 1986, IX.4.6); `jax.random.beta` rejects in a loop, over two gamma draws, instead.
    """
    log_q = jnp.log1p(-draws[0]) / alpha
    cos = jnp.cos(2 * jnp.pi * draws[1])
    square = -jnp.expm1(log_q) * cos**2
    ratio = square / jnp.maximum(jnp.exp(log_q) + square, jnp.finfo(square.dtype).tiny)
    return 0.5 + 0.5 * jnp.sign(cos) * jnp.sqrt(ratio)


def _mixup_weights(draws: jax.Array, alpha: float | jax.Array) -> Weights:
    label = symmetric_beta(draws, alpha)
    return label[None, None, None], label


def _cutmix_weights(draws: jax.Array, alpha: float | jax.Array, size: tuple[int, ...]) -> Weights:
    shape = jnp.array(size)  # height, width
    side = jnp.sqrt(1 - symmetric_beta(draws[:2], alpha)) * shape
    half = (0.5 * side).astype(jnp.int32)
    centre = jnp.floor(draws[2:] * shape).astype(jnp.int32)
    low, high = jnp.maximum(centre - half, 0), jnp.minimum(centre + half, shape)
    y, x = jnp.arange(size[0])[:, None], jnp.arange(size[1])
    box = (y >= low[0]) & (y < high[0]) & (x >= low[1]) & (x < high[1])
    label = 1 - jnp.prod(high - low) / (size[0] * size[1])
    return jnp.where(box, 0.0, 1.0)[..., None], label


def _mix(images: jax.Array, targets: jax.Array, weights: Weights) -> tuple[jax.Array, jax.Array]:
    """Own part by the weights, with a leading [B]; the rest from the batch rolled by one."""
    own, label = weights[0], weights[1][:, None]
    images = own * images + (1 - own) * jnp.roll(images, 1, axis=0)
    return images, label * targets + (1 - label) * jnp.roll(targets, 1, axis=0)
