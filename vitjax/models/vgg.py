"""VGG with batch norm (https://arxiv.org/abs/1409.1556), with torchvision's conventions."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax.errors import UserError
from vitjax.models.parts import init, passes
from vitjax.models.parts.convolution import BatchNorm, ConvNorm
from vitjax.models.parts.dropout import Dropout
from vitjax.models.parts.layers import Head

_GRID = 7  # positions each way that the first hidden layer sees


def adaptive_average_pool(x: jax.Array, size: int) -> jax.Array:
    """[B, H, W, C] -> [B, size, size, C]: torch's adaptive average pooling, for any H and W.

    Row i is the mean of the rows from i H / size, rounded down, to (i + 1) H / size, rounded up;
    columns likewise. Windows overlap where `size` does not divide the map.
    """
    for axis in (1, 2):
        length = x.shape[axis]
        if length == size:
            continue
        ends = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
        windows = [jax.lax.slice_in_dim(x, start, end, axis=axis) for start, end in ends]
        x = jnp.concatenate([jnp.mean(w, axis=axis, keepdims=True) for w in windows], axis=axis)
    return x


class Stage(nn.Module):
    """3x3 convolutions of one width, and a max pooling that halves the map."""

    conv_norm: functools.partial  # maker of a ConvNorm
    width: int
    num_layers: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, H / 2, W / 2, width], rounded down."""
        for i in range(self.num_layers):
            x = nn.relu(self.conv_norm(self.width, 3, name=f"conv_{i}")(x, train=train))
        return nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))


class MapLinear(nn.Module):
    """A linear layer over a whole map, stored as the convolution whose window is the map."""

    features: int
    kernel_init: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> [B, 1, 1, features]."""
        start, shape = init.by_name(self.kernel_init), x.shape[1:]
        kernel = self.param("kernel", start.kernel, (*shape, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel = kernel.reshape(-1, self.features).astype(self.dtype)
        x = passes.linear(x.reshape(x.shape[0], -1).astype(self.dtype), kernel)
        return (x + bias.astype(self.dtype))[:, None, None]


class VGG(nn.Module):
    """VGG with batch norm; by default VGG-16 (configuration D)."""

    num_classes: int  # 0: features, without a head
    stage_sizes: tuple[int, ...] = (2, 2, 3, 3, 3)  # convolutions of each stage
    width: int = 64  # channels of the first stage; the next double them, to 8 times as many
    hidden_dims: tuple[int, ...] = (4096, 4096)  # of the linear layers before the logits
    dropout_rate: float = 0.5  # after each of these
    norm_statistics: str = "moving"  # moving | frozen: running statistics while training
    kernel_init: str = "kaiming_normal_fan_out"  # of the convolutions
    dtype: Any = jnp.float32  # of the computation; parameters and statistics are float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Images [B, H, W, C] (normalised floats) -> logits [B, num_classes], float32.

        With `train=True`, `apply` needs `mutable=["batch_stats"]` unless statistics are frozen.
        Raises UserError for images that poolings leave nothing of.
        """
        self._check_size(*images.shape[1:3])
        norm = functools.partial(BatchNorm, self.norm_statistics, dtype=self.dtype)
        conv_norm = functools.partial(
            ConvNorm, use_bias=True, kernel_init=self.kernel_init, norm=norm, dtype=self.dtype
        )
        x = images
        for i, size in enumerate(self.stage_sizes):
            width = self.width * 2 ** min(i, 3)
            x = Stage(conv_norm, width, size, name=f"stage_{i}")(x, train=train)
        x = adaptive_average_pool(x, _GRID)
        linear = functools.partial(MapLinear, kernel_init="normal", dtype=self.dtype)
        for i, width in enumerate(self.hidden_dims):
            x = nn.relu(linear(width, name=f"hidden_{i}")(x))
            x = Dropout(self.dropout_rate)(x, train=train)
        x = x.reshape(x.shape[0], -1)
        head = Head(self.num_classes, kernel_init="normal", dtype=self.dtype, name="head")
        return head(x, train=train)

    def sees_whole(self, image_shape: tuple[int, int, int]) -> bool:
        """Whether the first hidden layer sees each position of the last map of images [H, W, C]."""
        return max(image_shape[:2]) // 2 ** len(self.stage_sizes) <= _GRID

    def _check_size(self, height: int, width: int) -> None:
        smallest = 2 ** len(self.stage_sizes)
        if min(height, width) < smallest:
            raise UserError(
                f"{len(self.stage_sizes)} stages halve images of {height}x{width} pixels to "
                f"nothing; raise config.data.input_size to {smallest} or more, or shorten "
                "config.model.stage_sizes"
            )
