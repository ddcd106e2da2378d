"""Attention over many tokens on a TPU, by JAX's kernel of Flash Attention."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

MANY_TOKENS = 1024  # from which on the kernel moves less than XLA's own program
MOST_TOKENS = 2**16  # beyond which JAX takes minutes to lay out the kernel's blocks
_BLOCKS = (512, 384, 256)  # keys, or queries, that are worked on at a time
_MAX_KEYS = 4608  # that lie in VMEM, with their values and both gradients


def is_worth(q: jax.Array, k: jax.Array) -> bool:
    """Whether `attend` takes these, and is better there than products and a softmax."""
    lengths = q.shape[-2], k.shape[-1]
    fits = min(lengths) >= MANY_TOKENS and max(lengths) <= MOST_TOKENS
    return q.ndim == 4 and fits and len(q) % math.prod(_auto_axes(q).values()) == 0


def attend(q: jax.Array, k: jax.Array, v: jax.Array, interpret: bool = False) -> jax.Array:
    """softmax(q k) v: [B, H, N, d], [B, H, d, M] and [B, H, M, d] -> [B, H, N, d].

    The weights [B, H, N, M] never lie in memory, forward or backward
    (https://arxiv.org/abs/2205.14135). XLA does not split a kernel's batch over devices, so that is
    done here. `interpret`: on any platform, slowly.
    """
    kernel = functools.partial(_attend, interpret=interpret)
    axes = _auto_axes(q)
    if math.prod(axes.values()) > 1:
        batch = PartitionSpec(tuple(axes))
        mesh = jax.typeof(q).sharding.mesh
        kernel = jax.shard_map(
            kernel, mesh=mesh, in_specs=(batch,) * 3, out_specs=batch, check_vma=False
        )
    return kernel(q, k, v)


def _auto_axes(x: jax.Array) -> dict[str, int]:
    """Returns the axes of the mesh that XLA splits arrays over, with their sizes."""
    mesh = jax.typeof(x).sharding.mesh
    named = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return {name: mesh.shape[name] for name, kind in named if kind == AxisType.Auto}


def _attend(q: jax.Array, k: jax.Array, v: jax.Array, interpret: bool) -> jax.Array:
    from jax.experimental.pallas.ops.tpu.splash_attention import SegmentIds

    heads, num_queries, num_keys = q.shape[1], q.shape[2], v.shape[2]
    q, k, v = (_padded(x) for x in (q, k.swapaxes(2, 3), v))
    of = jnp.arange(k.shape[2]) >= num_keys  # padding is another segment
    segments = SegmentIds(jnp.zeros(q.shape[2], jnp.int32), of.astype(jnp.int32))
    kernel = _kernel(heads, q.shape[2], k.shape[2], interpret)
    out = jax.vmap(lambda q, k, v: kernel(q, k, v, segments))(q, k, v)
    return out[:, :, :num_queries]


def _padded(x: jax.Array) -> jax.Array:
    """[B, H, N, d] -> [B, H, whole blocks, d]."""
    length = x.shape[2]
    return jnp.pad(x, ((0, 0), (0, 0), (0, -length % block_size(length)), (0, 0)))


def block_size(length: int) -> int:
    """Returns the size of block that pads the least."""
    return min(_BLOCKS, key=lambda block: -length % block)


def _kernel(heads: int, num_queries: int, num_keys: int, interpret: bool) -> Any:
    """Returns the function of [H, N, d], [H, M, d], [H, M, d] and segments."""
    # Not above: few programs have so many tokens, and it takes a second.
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    queries, keys = block_size(num_queries), block_size(num_keys)
    in_memory = num_keys if num_keys <= _MAX_KEYS else keys
    layout = splash.QKVLayout.SEQ_MINOR  # as the products before lay them out
    sizes = splash.BlockSizes(
        block_q=queries,
        block_kv=in_memory,
        block_kv_compute=keys,
        block_q_dkv=queries,
        block_kv_dkv=in_memory,
        block_kv_dkv_compute=keys,
        use_fused_bwd_kernel=True,
        q_layout=layout,
        k_layout=layout,
        v_layout=layout,
    )
    mask = splash.MultiHeadMask([splash.FullMask((num_queries, num_keys))] * heads)
    return splash.make_splash_mha_single_device(mask, block_sizes=sizes, interpret=interpret)
