"""Convolutions and batch norm with torch's conventions."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax.errors import UserError
from vitjax.models.names import check_name
from vitjax.models.parts import init
from vitjax.models.parts.convolve import convolve


class BatchNorm(nn.Module):
    """Normalises each channel over the batch, with torch's epsilon and momentum.

    Training uses the batch's mean and variance, over all devices, and moves the running ones (in
    the collection `batch_stats`, float32) a tenth of the way there; the running variance is the
    unbiased one. Images that fill up an epoch's last batch count. Evaluation, and training
    where `statistics` is "frozen", uses the running ones.
    """

    statistics: str = "moving"  # moving | frozen
    epsilon: float = 1e-5
    momentum: float = 0.9  # what the running statistics keep; torch states the rest
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, H, W, C]; raises UserError for a batch without variance."""
        check_name(("moving", "frozen"), self.statistics, "config.model.norm_statistics")
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        x = x.astype(jnp.float32)
        mean, var = running_mean.value, running_var.value
        if train and self.statistics == "moving":
            count = x.size // x.shape[-1]
            if count == 1:
                raise UserError(
                    "batch norm of 1 image of 1x1 positions has no variance; raise "
                    "config.data.batch_size or set config.model.norm_statistics=frozen"
                )
            mean, var = jnp.mean(x, axis=(0, 1, 2)), jnp.var(x, axis=(0, 1, 2))
            self._move(running_mean, mean)
            self._move(running_var, var * (count / (count - 1)))
        y = (x - mean) * (jax.lax.rsqrt(var + self.epsilon) * scale) + bias
        return y.astype(self.dtype)

    def _move(self, running: nn.Variable, new: jax.Array) -> None:
        if not self.is_initializing():
            running.value = self.momentum * running.value + (1 - self.momentum) * new


class ConvNorm(nn.Module):
    """A convolution and its batch norm."""

    features: int
    kernel_size: int
    stride: int = 1
    use_bias: bool = False
    kernel_init: str = "kaiming_normal_fan_out"
    norm: functools.partial = functools.partial(BatchNorm)  # maker of a BatchNorm
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, H / stride, W / stride, features], rounded up."""
        size = self.kernel_size
        shape = (size, size, x.shape[-1], self.features)
        start = init.by_name(self.kernel_init)
        kernel = self.param("kernel", start.kernel, shape)
        x = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            bias = self.param("bias", start.bias(math.prod(shape[:-1])), shape[-1:])
            x = x + bias.astype(self.dtype)
        return self.norm(name="norm")(x, train=train)
