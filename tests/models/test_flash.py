"""Attention by the TPU's kernel: interpreted on a CPU, lowered for TPUs, compiled by libtpu."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from vitjax.models.parts import flash
from vitjax.models.parts.attend import attend
from vitjax.targets import chips
from vitjax.targets.topology import devices_of
from vitjax.training.placement.sharding import make_mesh

KERNEL = "tpu_custom_call"
SENDING = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")


def normal(i, *shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(i), shape).astype(dtype)


def arrays(batch, heads, queries, keys, width, dtype=jnp.float32):
    shapes = (queries, width), (width, keys), (keys, width), (queries, width)
    return [normal(i, batch, heads, *shape, dtype=dtype) for i, shape in enumerate(shapes)]


def interpreted(q, k, v):
    return flash.attend(q * q.shape[-1] ** -0.5, k, v, interpret=True)


def with_gradients(function):
    def call(q, k, v, weights):
        out, pull = jax.vjp(function, q, k, v)
        return out, *pull(weights)

    return jax.jit(call)


@pytest.mark.parametrize(("queries", "keys"), [(300, 600), (512, 512)])  # padded: one block, two
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 2e-5), (jnp.bfloat16, 3e-2)])
def test_the_kernel_computes_what_products_do(queries, keys, dtype, tolerance):
    given = arrays(1, 2, queries, keys, 8, dtype)
    wanted = with_gradients(attend)(*(x.astype(jnp.float32) for x in given))
    for ours, theirs in zip(with_gradients(interpreted)(*given), wanted, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.astype(jnp.float32), theirs, atol=tolerance)


def test_members_of_a_sweep_have_their_own():
    q, k, v, _ = (jnp.stack([x, -2 * x]) for x in arrays(2, 1, 256, 256, 8))
    ours, theirs = jax.vmap(interpreted)(q, k, v)[1], attend(q[1], k[1], v[1])
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("tokens", [1024, 1025, 2305, 4097, 9217])
def test_blocks_pad_less_than_an_eighth(tokens):
    block = flash.block_size(tokens)
    assert -tokens % block <= tokens / 8


def lowered(platform, tokens=1025, batch=4, mesh=None, **options):
    """The program of a gradient with `attend`, for chips that need not be there."""
    q, k, v, _ = arrays(batch, 1, tokens, tokens, 8, jnp.bfloat16)
    if mesh is not None:
        whole = NamedSharding(mesh, PartitionSpec())
        q, k, v = (jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole) for x in (q, k, v))
    gradient = jax.grad(lambda q, k, v: attend(q, k, v, **options).sum(), (0, 1, 2))
    return jax.jit(gradient).trace(q, k, v).lower(lowering_platforms=(platform,)).as_text()


def test_many_tokens_on_a_tpu_take_the_kernel():
    assert lowered("tpu").count(KERNEL) == 2  # forward, backward
    assert KERNEL not in lowered("tpu", tokens=flash.MANY_TOKENS - 1)
    assert KERNEL not in lowered("tpu", tokens=flash.MOST_TOKENS + 1)
    for platform in ("cpu", "cuda"):
        assert "custom_call" not in lowered(platform)


def test_what_needs_the_weights_does_not_take_it():
    key = jax.random.key(0)
    assert KERNEL not in lowered("tpu", bias=jnp.zeros((1025, 1025)))
    assert KERNEL not in lowered("tpu", key=key, dropout_rate=0.1)


@pytest.mark.parametrize(("num_chips", "takes"), [(4, True), (3, False)])
def test_batches_that_split_over_chips_take_it(num_chips, takes):
    mesh = AbstractMesh((num_chips,), ("data",))
    assert (KERNEL in lowered("tpu", batch=2 * 4, mesh=mesh)) == takes


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: pip install .[tpu]"
)
def test_chips_send_each_other_nothing_for_it():
    split = NamedSharding(make_mesh(devices_of(chips.parse("v5e:2x2"))), PartitionSpec("data"))
    given = [
        jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split) for x in arrays(4, 2, 1025, 1025, 64)
    ]
    text = with_gradients(attend).lower(*given).compile().as_text()
    assert KERNEL in text
    assert not any(word in text for word in SENDING)
