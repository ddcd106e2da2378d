"""Residual networks (https://arxiv.org/abs/1512.03385) with torch's conventions."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax.models.names import check_name
from vitjax.models.parts.convolution import BatchNorm, ConvNorm
from vitjax.models.parts.layers import Head

EXPANSION = {"basic": 1, "bottleneck": 4}  # output channels of a block over its width


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions (basic), or 1x1, 3x3 and 1x1 (bottleneck), and a skip connection.

    The 3x3 has a bottleneck's stride, as in torchvision ("ResNet v1.5"). Where the shape changes,
    a 1x1 convolution projects the skip connection.
    """

    conv_norm: functools.partial  # maker of a ConvNorm
    block: str  # basic | bottleneck
    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, H / stride, W / stride, width * EXPANSION[block]]."""
        features = self.width * EXPANSION[self.block]
        layers = [(self.width, 3, self.stride), (features, 3, 1)]  # features, kernel, stride
        if self.block == "bottleneck":
            layers = [(self.width, 1, 1), (self.width, 3, self.stride), (features, 1, 1)]
        y = x
        for i, layer in enumerate(layers):
            y = self.conv_norm(*layer, name=f"conv_{i}")(nn.relu(y) if i else y, train=train)
        if self.stride > 1 or x.shape[-1] != features:
            x = self.conv_norm(features, 1, self.stride, name="shortcut")(x, train=train)
        return nn.relu(x + y)


class Stage(nn.Module):
    """Blocks of one width; the first has the stride."""

    block: functools.partial  # maker of a ResidualBlock
    num_blocks: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, H / stride, W / stride, C']."""
        for i in range(self.num_blocks):
            x = self.block(stride=1 if i else self.stride, name=f"block_{i}")(x, train=train)
        return x


class ResNet(nn.Module):
    """Residual network; by default ResNet-18."""

    num_classes: int  # 0: features, without a head
    stage_sizes: tuple[int, ...] = (2, 2, 2, 2)  # blocks of each stage
    block: str = "basic"  # basic | bottleneck
    width: int = 64  # channels of the stem; each stage after the first doubles them
    norm_statistics: str = "moving"  # moving | frozen: running statistics while training
    kernel_init: str = "kaiming_normal_fan_out"  # of the convolutions
    dtype: Any = jnp.float32  # of the computation; parameters and statistics are float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Images [B, H, W, C] (normalised floats) -> logits [B, num_classes], float32.

        With `train=True`, `apply` needs `mutable=["batch_stats"]` unless statistics are frozen.
        """
        check_name(EXPANSION, self.block, "config.model.block")
        norm = functools.partial(BatchNorm, self.norm_statistics, dtype=self.dtype)
        conv_norm = functools.partial(
            ConvNorm, kernel_init=self.kernel_init, norm=norm, dtype=self.dtype
        )
        x = nn.relu(conv_norm(self.width, 7, 2, name="stem")(images, train=train))
        # No value is below 0 here, so that padding with 0 is torch's with -inf.
        x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        x = nn.max_pool(x, window_shape=(3, 3), strides=(2, 2))
        for i, size in enumerate(self.stage_sizes):
            block = functools.partial(ResidualBlock, conv_norm, self.block, self.width * 2**i)
            x = Stage(block, size, stride=2 if i else 1, name=f"stage_{i}")(x, train=train)
        x = jnp.mean(x, axis=(1, 2))
        head = Head(self.num_classes, kernel_init="torch_linear", dtype=self.dtype, name="head")
        return head(x, train=train)
