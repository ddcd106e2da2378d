"""Swin Transformer (https://arxiv.org/abs/2103.14030): attention in shifted windows."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vitjax.errors import UserError
from vitjax.models.names import check_name
from vitjax.models.parts import init
from vitjax.models.parts.attention import Attend
from vitjax.models.parts.layers import Block, Head, LayerNorm, Linear, Mlp, drop_path_rates
from vitjax.models.parts.stem import PatchStem

Size = tuple[int, int]  # down the columns, along the rows


class Windows(NamedTuple):
    """How windows lie on a map."""

    size: Size  # of a window
    shift: Size  # of every second block's windows
    shift_first: bool  # before the map is padded to whole windows


def tile(map_size: Size, window_size: int, tiling: str) -> Windows:
    """Returns how windows lie on a map: square and shifted after padding, as in transformers.

    Or each way by itself and shifted before padding, as in timm; alike where they tile the map.
    """
    check_name(("transformers", "timm"), tiling, "config.model.tiling")
    extents = map_size if tiling == "timm" else (min(map_size),) * 2
    height, width = (min(n, window_size) for n in extents)
    down, along = (window_size // 2 if n > window_size else 0 for n in extents)
    return Windows((height, width), (down, along), tiling == "timm")


class WindowAttention(nn.Module):
    """Self-attention within windows, with a learned bias for each relative position.

    With `shifted`, windows are displaced by half their size, cyclically; positions that meet in a
    window only because the image wraps around do not see each other. A map that fits into a window
    is one window; one that windows do not tile is padded with zeros at the bottom and the right.
    """

    num_heads: int
    window_size: int  # positions, square
    shifted: bool = False
    tiling: str = "transformers"  # transformers | timm: see `tile`
    qkv_bias: bool = True
    kernel_init: str = "trunc_normal"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, D] -> [B, H, W, D]."""
        height, width = x.shape[1:3]
        size, shift, shift_first = tile((height, width), self.window_size, self.tiling)
        down, along = shift if self.shifted else (0, 0)
        if shift_first:
            x = _pad(_roll(x, -down, -along), size)
            x = self._within(x, size, (down, along), train)
            return _roll(x[:, :height, :width], down, along)
        x = _roll(_pad(x, size), -down, -along)
        x = self._within(x, size, (down, along), train)
        return _roll(x, down, along)[:, :height, :width]

    def _within(self, x: jax.Array, size: Size, shift: Size, train: bool) -> jax.Array:
        """Attention within the windows that tile a map [B, H, W, D], which is shifted already."""
        batch, height, width, dim = x.shape
        rows, columns = height // size[0], width // size[1]
        linear = functools.partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
        x = x.reshape(batch, rows, size[0], columns, size[1], dim).swapaxes(2, 3)
        x = x.reshape(batch, rows * columns, size[0] * size[1], dim)
        qkv = linear(3 * dim, use_bias=self.qkv_bias, name="qkv")(x)
        heads = (*x.shape[:-1], self.num_heads, dim // self.num_heads)
        q, k, v = (y.reshape(heads) for y in jnp.split(qkv, 3, axis=-1))
        bias = self._position_bias(size)
        if any(shift):
            bias = bias + _separation(rows, columns, size, shift)
        x = linear(dim, name="out")(Attend()(q, k, v, bias, train=train).reshape(x.shape))
        x = x.reshape(batch, rows, columns, *size, dim).swapaxes(2, 3)
        return x.reshape(batch, height, width, dim)

    def _position_bias(self, size: Size) -> jax.Array:
        """Returns what is added to the logits of a window's M positions, [num_heads, M, M]."""
        side = 2 * self.window_size - 1
        start = init.by_name("trunc_normal").kernel
        table = self.param("relative_position_bias", start, (side**2, self.num_heads))
        positions = np.indices(size).reshape(2, -1)  # [2, M]
        apart = positions[:, :, None] - positions[:, None] + self.window_size - 1
        return table[apart[0] * side + apart[1]].transpose(2, 0, 1)


def _pad(x: jax.Array, multiples: Size) -> jax.Array:
    """Pads [B, H, W, D] with zeros at the bottom and the right to multiples of these sizes."""
    rows, columns = (-n % multiple for n, multiple in zip(x.shape[1:3], multiples, strict=True))
    return jnp.pad(x, [(0, 0), (0, rows), (0, columns), (0, 0)]) if rows or columns else x


def _roll(x: jax.Array, down: int, along: int) -> jax.Array:
    """Moves [B, H, W, D] cyclically."""
    return jnp.roll(x, (down, along), axis=(1, 2)) if down or along else x


def _separation(rows: int, columns: int, size: Size, shift: Size) -> jax.Array:
    """Returns -inf where two positions of a shifted window are no neighbours, else 0.

    Of shape [rows * columns, 1, M, M]: the M positions of each window.
    """
    extents = rows * size[0], columns * size[1]
    # The last window of a row (or column) holds its end and, wrapped around, its beginning.
    row, column = (np.arange(n) >= n - by for n, by in zip(extents, shift, strict=True))
    # Only the last windows have positions of more than one of the four parts.
    parts = (2 * row[:, None] + column).reshape(rows, size[0], columns, size[1]).swapaxes(1, 2)
    part = jnp.asarray(parts.reshape(rows * columns, 1, size[0] * size[1]), jnp.int8)
    # Compared in the program, which fuses it: as a constant it would be M times larger.
    return jnp.where(part[..., None] == part[..., None, :], 0.0, -jnp.inf)


class PatchMerging(nn.Module):
    """Makes one token of 2x2, twice as wide."""

    norm_epsilon: float = 1e-5
    kernel_init: str = "trunc_normal"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, D] -> [B, H / 2, W / 2, 2 D], rounded up."""
        x = _pad(x, (2, 2))
        batch, height, width, dim = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, dim)
        # Down the columns first, as the published weights have it.
        x = x.transpose(0, 1, 3, 4, 2, 5).reshape(batch, height // 2, width // 2, 4 * dim)
        x = LayerNorm(self.norm_epsilon, dtype=self.dtype, name="norm")(x)
        return Linear(
            2 * dim,
            use_bias=False,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="reduction",
        )(x)


class Stage(nn.Module):
    """Patch merging (but in the first stage), then blocks; every second one is shifted."""

    mixer: functools.partial  # maker of a WindowAttention
    block: functools.partial  # maker of a Block
    drop_path_rates: tuple[float, ...]  # of each block
    merging: functools.partial | None  # maker of a PatchMerging

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, D] -> [B, H, W, D], or [B, H / 2, W / 2, 2 D] with merging."""
        if self.merging is not None:
            x = self.merging(name="merging")(x)
        for i, rate in enumerate(self.drop_path_rates):
            mixer = functools.partial(self.mixer, shifted=i % 2 == 1)
            block = self.block(mixer=mixer, drop_path_rate=rate, name=f"block_{i}")
            x = block(x, train=train)
        return x


class Swin(nn.Module):
    """Classifier of windows that shift from block to block; by default Swin-T."""

    num_classes: int  # 0: features, without a head
    patch_size: int = 4  # pixels
    hidden_dim: int = 96  # width of a token in the first stage; each later stage doubles it
    stage_sizes: tuple[int, ...] = (2, 2, 6, 2)  # blocks of each stage
    num_heads: tuple[int, ...] = (3, 6, 12, 24)  # of each stage
    window_size: int = 7  # tokens
    tiling: str = "transformers"  # transformers | timm: where patches or windows do not fit
    mlp_ratio: int = 4  # hidden width of the MLP over the width of a token
    qkv_bias: bool = True
    norm_epsilon: float = 1e-5
    activation: str = "gelu"  # gelu (exact) | gelu_tanh | relu | tanh
    kernel_init: str = "trunc_normal"  # a name in vitjax.models.parts.init.INITS
    drop_path_rate: float = 0.0  # of the last block's branches; grows from 0 with the depth
    dtype: Any = jnp.float32  # of the computation; parameters are float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Images [B, H, W, C] (normalised floats) -> logits [B, num_classes], float32.

        Any size: a map is padded with zeros to whole windows, and images to whole patches, unless
        `tiling` is timm's, which cuts off what fills no patch. With `train=True` and
        drop_path_rate above 0, `apply` needs `rngs={"dropout": key}`. Raises UserError where
        num_heads does not fit the stages.
        """
        self._check()
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        normed = common | {"norm_epsilon": self.norm_epsilon}
        grid = self._map_sizes(*images.shape[1:3])[0]
        x = _pad(images, (self.patch_size, self.patch_size))
        x = x[:, : grid[0] * self.patch_size, : grid[1] * self.patch_size]
        stem = PatchStem(self.hidden_dim, self.patch_size, token_norm=True, **normed, name="stem")
        x = stem(x).reshape(x.shape[0], *grid, self.hidden_dim)
        rates = drop_path_rates(self.drop_path_rate, sum(self.stage_sizes))
        for i, size in enumerate(self.stage_sizes):
            dim = self.hidden_dim * 2**i
            mixer = functools.partial(
                WindowAttention,
                self.num_heads[i],
                self.window_size,
                tiling=self.tiling,
                qkv_bias=self.qkv_bias,
            )
            mlp = functools.partial(Mlp, self.mlp_ratio * dim, self.activation, **common)
            x = Stage(
                mixer=functools.partial(mixer, **common),
                block=functools.partial(
                    Block, mlp=mlp, norm_epsilon=self.norm_epsilon, dtype=self.dtype
                ),
                drop_path_rates=rates[:size],
                merging=functools.partial(PatchMerging, **normed) if i else None,
                name=f"stage_{i}",
            )(x, train=train)
            rates = rates[size:]
        x = LayerNorm(self.norm_epsilon, dtype=self.dtype, name="final_norm")(x)
        return Head(self.num_classes, **common, name="head")(jnp.mean(x, axis=(1, 2)), train=train)

    def windows(self, height: int, width: int) -> list[Windows]:
        """Returns how the windows of each stage lie, for images of height x width pixels."""
        sizes = self._map_sizes(height, width)
        return [tile(size, self.window_size, self.tiling) for size in sizes]

    def tiled_alike(self, height: int, width: int) -> bool:
        """Whether every tiling is the same for images of height x width pixels."""
        if height % self.patch_size or width % self.patch_size:
            return False
        for size in self._map_sizes(height, width):
            ours, timms = (tile(size, self.window_size, t) for t in ("transformers", "timm"))
            if (ours.size, ours.shift) != (timms.size, timms.shift):
                return False
            ways = zip(size, ours.size, ours.shift, strict=True)
            if any(shift and extent % window for extent, window, shift in ways):
                return False
        return True

    def _map_sizes(self, height: int, width: int) -> list[Size]:
        """Returns the size of each stage's map, in tokens, for images of height x width pixels."""
        sizes = [(-(-height // self.patch_size), -(-width // self.patch_size))]
        if self.tiling == "timm":
            sizes = [(max(height // self.patch_size, 1), max(width // self.patch_size, 1))]
        for _ in self.stage_sizes[1:]:  # patches merge by two, the last ones with nothing
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        return sizes

    def _check(self) -> None:
        """Raises UserError unless there are heads for each stage, which divide its width."""
        if len(self.num_heads) != len(self.stage_sizes):
            raise UserError(
                f"num_heads={self.num_heads} and stage_sizes={self.stage_sizes} should be equally "
                "long; change config.model.num_heads or config.model.stage_sizes"
            )
        for i, heads in enumerate(self.num_heads):
            if heads < 1 or self.hidden_dim * 2**i % heads:
                raise UserError(
                    f"num_heads={self.num_heads}: {heads} heads do not divide the width "
                    f"{self.hidden_dim * 2**i} of stage {i}; change config.model.num_heads or "
                    "config.model.hidden_dim"
                )
