"""Convolutions that are fast on a CPU, too.

In a loop, such as that over the steps, XLA's CPU backend has fast convolutions alone for images and
kernels whose dimensions are in the usual order; others take 10 to 60 times as long. JAX's own
gradients are of others, and where a kernel has more pixels than the outputs, XLA changes kernel and
images over.
"""

import functools

import jax
import jax.numpy as jnp

from vitjax.models.parts import passes


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """[B, H, W, in] by [S, S, in, out], S odd -> [B, H / stride, W / stride, out], rounded up.

    Padded by S // 2 on every side, as torch does: "SAME" pads a stride of 2 on one side alone.
    """
    if not _is_small(x, kernel, stride):
        return _by_convolution(x, kernel, stride)
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_by_windows, stride=stride),
        default=functools.partial(_by_convolution, stride=stride),
    )


def _is_small(x, kernel, stride):
    """Whether a kernel has more pixels than the outputs."""
    height, width = (-(-length // stride) for length in x.shape[1:3])
    return height * width < kernel.shape[0] ** 2


def _by_convolution(x, kernel, stride):
    half = kernel.shape[0] // 2
    return _convolution(x, kernel, [(half, half)] * 2, window_strides=(stride, stride))


def _convolution(x, kernel, padding, window_strides=(1, 1), **dilation):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, window_strides, padding, dimension_numbers=dimensions, **dilation
    )


def _by_windows(x, kernel, stride):
    """As `_by_convolution`, by a product of all windows."""
    size, (batch, height, width, channels) = kernel.shape[0], x.shape
    half = size // 2
    padded = jnp.pad(x, [(0, 0), (half, half), (half, half), (0, 0)])
    windows = [
        jax.lax.slice(
            padded,
            (0, top, left, 0),
            (batch, top + height, left + width, channels),
            (1, stride, stride, 1),
        )
        for top in range(size)
        for left in range(size)
    ]
    return passes.linear(jnp.concatenate(windows, -1), kernel.reshape(-1, kernel.shape[-1]))


def _forward(x, kernel, stride):
    return convolve(x, kernel, stride), (x, kernel)


def _backward(stride, kept, gradient):
    x, kernel = kept
    on_cpu = _small_gradients if _is_small(x, kernel, stride) else _ordered_gradients
    return jax.lax.platform_dependent(
        x,
        kernel,
        gradient,
        cpu=functools.partial(on_cpu, stride),
        default=functools.partial(_own_gradients, stride),
    )


convolve.defvjp(_forward, _backward)


def _own_gradients(stride, x, kernel, gradient):
    return jax.vjp(functools.partial(_by_convolution, stride=stride), x, kernel)[1](gradient)


def _small_gradients(stride, x, kernel, gradient):
    return jax.vjp(functools.partial(_by_windows, stride=stride), x, kernel)[1](gradient)


def _ordered_gradients(stride, x, kernel, gradient):
    """As `_own_gradients`, by convolutions whose dimensions are in the usual order."""
    size = kernel.shape[0]
    half, dilation = size // 2, (stride, stride)
    unread = [(length - 1) % stride for length in x.shape[1:3]]  # pixels behind the last window
    by_x = _convolution(
        gradient,
        jnp.flip(kernel, (0, 1)).swapaxes(2, 3),
        [(half, half + pixels) for pixels in unread],
        lhs_dilation=dilation,
    )
    by_kernel = _convolution(
        x.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        [(half, half)] * 2,
        rhs_dilation=dilation,
    )
    return by_x, by_kernel[:, :size, :size].transpose(1, 2, 0, 3)
