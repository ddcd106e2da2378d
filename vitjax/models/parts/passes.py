"""Functions whose gradients are written out, so that a step keeps and reads less."""

import functools

import jax
import jax.numpy as jnp


@jax.custom_vjp
def linear(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """[..., in] @ [in, out] -> [..., out]."""
    return jnp.dot(x, kernel)


def _linear_forward(x, kernel):
    return linear(x, kernel), (x, kernel)


def _linear_backward(kept, gradient):
    x, kernel = kept
    by_x = jnp.dot(gradient, kernel.T)
    axes = tuple(range(x.ndim - 1))
    by_kernel = jax.lax.platform_dependent(
        x,
        gradient,
        # XLA's CPU backend transposes [B, N, D] unless they are matrices; a TPU lays them out anew
        # where they become some.
        cpu=lambda x, g: jnp.dot(x.reshape(-1, x.shape[-1]).T, g.reshape(-1, g.shape[-1])),
        default=lambda x, g: jnp.tensordot(x, g, (axes, axes)),
    )
    return by_x, by_kernel


linear.defvjp(_linear_forward, _linear_backward)


def linear_in_parts(x: jax.Array, kernel: jax.Array, num_parts: int) -> list[jax.Array]:
    """linear(x, kernel) cut along its last axis.

    One product on a CPU; elsewhere a product for each part, which then need not be copied to lie
    as its use wants it.
    """
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: jnp.split(linear(x, kernel), num_parts, -1),
        default=lambda x, kernel: [linear(x, part) for part in jnp.split(kernel, num_parts, 1)],
    )


def patches(images: jax.Array, patch_size: int) -> jax.Array:
    """Images [B, H, W, C] -> patches [B, (H/P) * (W/P), P*P*C]."""
    batch, height, width, channels = images.shape
    p = patch_size
    x = images.reshape(batch, height // p, p, width // p, p, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, p * p * channels)


def patch_linear(images: jax.Array, kernel: jax.Array, patch_size: int) -> jax.Array:
    """patches(images) @ kernel: [B, H, W, C] and [P*P*C, D] -> [B, (H/P) * (W/P), D].

    On a TPU as a convolution, which reads the images as they lie: a third fewer bytes.
    """
    return jax.lax.platform_dependent(
        images,
        kernel,
        tpu=lambda images, kernel: patch_convolution(images, kernel, patch_size),
        default=lambda images, kernel: linear(patches(images, patch_size), kernel),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def patch_convolution(images: jax.Array, kernel: jax.Array, patch_size: int) -> jax.Array:
    """As `patch_linear`, by a convolution."""
    window = (patch_size, patch_size)
    y = jax.lax.conv_general_dilated(
        images,
        kernel.reshape(*window, images.shape[-1], -1),
        window_strides=window,
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y.reshape(y.shape[0], -1, y.shape[-1])


def _convolution_forward(images, kernel, patch_size):
    return patch_convolution(images, kernel, patch_size), (images, kernel)


def _convolution_backward(patch_size, kept, gradient):
    """As JAX's own, which jax 0.7 cannot vmap."""
    images, kernel = kept
    batch, height, width, channels = images.shape
    p = patch_size
    grid = (batch, height // p, width // p)
    by_kernel = jax.lax.conv_general_dilated(
        images,
        gradient.reshape(*grid, -1),
        window_strides=(1, 1),
        padding="VALID",
        rhs_dilation=(p, p),
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
    )
    by_patches = jnp.dot(gradient, kernel.T).reshape(*grid, p, p, channels)
    by_images = by_patches.transpose(0, 1, 3, 2, 4, 5).reshape(images.shape)
    return by_images, by_kernel.reshape(kernel.shape)


patch_convolution.defvjp(_convolution_forward, _convolution_backward)


def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 3x3 window of stride 2: [B, H, W, C] -> [B, H/2, W/2, C], H and W even.

    Of values alike in a window, the first or each in part has the gradient.
    """
    return jax.lax.platform_dependent(
        x,
        # A TPU has an operation for the gradient of windows; elsewhere it is a scatter, slower on a
        # CPU and 1.6 times the bytes on a GPU.
        tpu=max_of_windows,
        default=lambda x: _halved(_halved(x, 1), 2),
    )


def max_of_windows(x: jax.Array) -> jax.Array:
    """As `max_pool`, by XLA's own operation."""
    padding = [(0, 0), (1, 1), (1, 1), (0, 0)]
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


def _halved(x: jax.Array, axis: int) -> jax.Array:
    """The largest of each pair along an axis and of what stands before it."""
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
    first, second = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    padding = [(1, -1, 0) if i == axis else (0, 0, 0) for i in range(x.ndim)]
    before = jax.lax.pad(second, jnp.array(-jnp.inf, x.dtype), padding)
    return jnp.maximum(jnp.maximum(before, first), second)


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
    """x * Phi(x), exactly: Phi is the normal distribution's (https://arxiv.org/abs/1606.08415)."""
    return (x * _phi(x)).astype(x.dtype)


def _phi(x: jax.Array) -> jax.Array:
    """The distribution function, float32."""
    return 0.5 * (1 + jax.lax.erf(x.astype(jnp.float32) * 0.5**0.5))


def _gelu_forward(x):
    return gelu(x), x


def _gelu_backward(x, gradient):
    x32 = x.astype(jnp.float32)
    density = jnp.exp(-0.5 * x32 * x32) * (2 * jnp.pi) ** -0.5
    return (((_phi(x) + x32 * density) * gradient).astype(x.dtype),)


gelu.defvjp(_gelu_forward, _gelu_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
    """Normalises the last axis (https://arxiv.org/abs/1607.06450), in float32: [..., D] -> same."""
    return _layer_norm_forward(x, scale, bias, epsilon)[0]


def _moments(x: jax.Array, epsilon: float) -> tuple[jax.Array, jax.Array]:
    """Mean and 1 / standard deviation of the last axis, float32 [..., 1]."""
    x = x.astype(jnp.float32)
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x), axis=-1, keepdims=True) - jnp.square(mean)
    return mean, jax.lax.rsqrt(jnp.maximum(variance, 0) + epsilon)


def _layer_norm_forward(x, scale, bias, epsilon):
    mean, inverse = _moments(x, epsilon)
    y = (x.astype(jnp.float32) - mean) * inverse * scale + bias
    return y.astype(x.dtype), (x, scale, bias, mean, inverse)


def _layer_norm_backward(epsilon, kept, gradient):
    x, scale, bias, mean, inverse = kept
    gradient = gradient.astype(jnp.float32)
    normal = (x.astype(jnp.float32) - mean) * inverse
    axes = tuple(range(x.ndim - 1))
    by_scale = jnp.sum(gradient * normal, axis=axes)
    by_bias = jnp.sum(gradient, axis=axes)
    scaled = gradient * scale
    by_normal = jnp.mean(scaled, axis=-1, keepdims=True)
    along = jnp.mean(scaled * normal, axis=-1, keepdims=True)
    by_x = (scaled - by_normal - normal * along) * inverse
    return by_x.astype(x.dtype), by_scale.astype(scale.dtype), by_bias.astype(bias.dtype)


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)
