"""Stems: how an image becomes tokens."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax.errors import UserError
from vitjax.models.names import check_name
from vitjax.models.parts import init, passes
from vitjax.models.parts.convolve import convolve
from vitjax.models.parts.layers import LayerNorm, Linear


class PatchStem(nn.Module):
    """Cuts images into patches and projects each patch to one token.

    Equation 1 of ViT (https://arxiv.org/abs/2010.11929). `stem` is "linear" (kernel [P*P*C, D]) or
    "conv" (kernel [P, P, C, D]): the same function, stored as the published weights store it.
    LayerNorms on each patch and on its token are vit-pytorch's since 1.0; Swin has the latter.
    """

    hidden_dim: int
    patch_size: int
    stem: str = "conv"
    patch_norm: bool = False
    token_norm: bool = False
    norm_epsilon: float = 1e-5
    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> tokens [B, N, D], N = (H/P) * (W/P)."""
        p = self.patch_size
        _check_size(images, p)
        images = images.astype(self.dtype)
        kernel, bias = self._parameters(images.shape[-1])
        layer_norm = functools.partial(LayerNorm, self.norm_epsilon, dtype=self.dtype)
        if self.patch_norm:
            x = passes.linear(layer_norm(name="patch_norm")(passes.patches(images, p)), kernel)
        else:
            x = passes.patch_linear(images, kernel, p)
        x = x + bias
        return layer_norm(name="token_norm")(x) if self.token_norm else x

    def _parameters(self, channels: int) -> tuple[jax.Array, jax.Array]:
        """Returns kernel [P*P*C, D] and bias [D], in the dtype of the layer."""
        shape = (self.patch_size, self.patch_size, channels)
        fan_in = math.prod(shape)
        if self.stem == "linear":
            options = {"kernel_init": self.kernel_init, "dtype": self.dtype}
            return Linear(self.hidden_dim, **options, name="embedding").parameters(fan_in)
        check_name(("linear", "conv"), self.stem, "config.model.stem")
        start = init.by_name(self.kernel_init)
        kernel = self.param("kernel", start.kernel, (*shape, self.hidden_dim))
        bias = self.param("bias", start.bias(fan_in), (self.hidden_dim,))
        return kernel.reshape(fan_in, -1).astype(self.dtype), bias.astype(self.dtype)


class ConvStem(nn.Module):
    """Makes tokens by convolutions, each of which halves the image: one for each doubling of P.

    The tokenizer of CCT (https://arxiv.org/abs/2104.05704): 3x3 without bias, ReLU, and the largest
    of each 3x3 window of stride 2. Kernels start as its (kaiming_normal), for the sake of ReLU.
    """

    hidden_dim: int
    patch_size: int  # a power of 2: pixels that a token stands for, either way
    inner_dim: int = 64  # channels of all layers but the last
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Images [B, H, W, C] -> tokens [B, N, D], N = (H/P) * (W/P)."""
        num_layers = self._num_layers()
        _check_size(images, self.patch_size)
        x = images.astype(self.dtype)
        for i in range(num_layers):
            features = self.hidden_dim if i == num_layers - 1 else self.inner_dim
            shape = (3, 3, x.shape[-1], features)
            kernel = self.param(f"kernel_{i}", init.by_name("kaiming_normal").kernel, shape)
            x = convolve(x, kernel.astype(self.dtype))
            x = passes.max_pool(nn.relu(x))
        return x.reshape(x.shape[0], -1, self.hidden_dim)

    def _num_layers(self) -> int:
        """Returns log2(P); raises UserError where that is no whole number from 1 on."""
        num_layers = max(self.patch_size, 1).bit_length() - 1
        if num_layers < 1 or self.patch_size != 2**num_layers:
            raise UserError(
                f"patch_size={self.patch_size} with stem='conv3x3', each of whose layers halves "
                "the image, should be 2, 4, 8 or a higher power of 2; change "
                "config.model.patch_size or config.model.stem"
            )
        return num_layers


def _check_size(images: jax.Array, patch_size: int) -> None:
    """Raises UserError unless patches tile the images [B, H, W, C]."""
    _, height, width, _ = images.shape
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise UserError(
            f"patch_size={patch_size} does not divide an image of {height}x{width} pixels; "
            "change config.model.patch_size or config.data.image_size"
        )
