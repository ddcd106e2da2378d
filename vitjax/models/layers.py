"""The parts that the networks share."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vitjax.errors import UserError
from vitjax.models import init
from vitjax.models.dropout import Dropout
from vitjax.models.names import check_name, choose

Layer = Callable[..., nn.Module]  # builds a module from a name; tokens [B, N, D] -> [B, N, D]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": functools.partial(nn.gelu, approximate=False),  # erf, as torch's default
    "gelu_tanh": functools.partial(nn.gelu, approximate=True),
    "relu": nn.relu,
    "tanh": jnp.tanh,
}


class Linear(nn.Module):
    """x @ kernel + bias, with an initialiser by name."""

    features: int
    use_bias: bool = True
    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., features]."""
        start = init.by_name(self.kernel_init)
        fan_in = x.shape[-1]
        kernel = self.param("kernel", start.kernel, (fan_in, self.features))
        # As one matrix: XLA's CPU backend transposes [B, N, D] for the kernel's gradient otherwise.
        y = jnp.dot(x.reshape(-1, fan_in).astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            bias = self.param("bias", start.bias(fan_in), (self.features,))
            y = y + bias.astype(self.dtype)
        return y.reshape(*x.shape[:-1], self.features)


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
        batch, height, width, channels = images.shape
        p = self.patch_size
        if p < 1 or height % p or width % p:
            raise UserError(
                f"patch_size={p} does not divide an image of {height}x{width} pixels; "
                "change config.model.patch_size or config.data.image_size"
            )
        x = images.reshape(batch, height // p, p, width // p, p, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, p * p * channels)
        layer_norm = functools.partial(nn.LayerNorm, self.norm_epsilon, dtype=self.dtype)
        x = layer_norm(name="patch_norm")(x) if self.patch_norm else x
        x = self._project(x, channels)
        return layer_norm(name="token_norm")(x) if self.token_norm else x

    def _project(self, x: jax.Array, channels: int) -> jax.Array:
        """Patches [B, N, P*P*C] -> tokens [B, N, D]."""
        if self.stem == "linear":
            return Linear(
                self.hidden_dim, kernel_init=self.kernel_init, dtype=self.dtype, name="embedding"
            )(x)
        check_name(("linear", "conv"), self.stem, "config.model.stem")
        start = init.by_name(self.kernel_init)
        shape = (self.patch_size, self.patch_size, channels, self.hidden_dim)
        kernel = self.param("kernel", start.kernel, shape)
        bias = self.param("bias", start.bias(x.shape[-1]), (self.hidden_dim,))
        kernel = kernel.reshape(-1, self.hidden_dim).astype(self.dtype)
        return jnp.dot(x.astype(self.dtype), kernel) + bias.astype(self.dtype)


class Mlp(nn.Module):
    """Two linear layers with an activation and dropout between them."""

    mlp_dim: int
    activation: str = "gelu"
    dropout_rate: float = 0.0
    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[..., D] -> [..., D], through `mlp_dim` hidden units."""
        activate = choose(ACTIVATIONS, self.activation, "config.model.activation")
        linear = functools.partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
        y = activate(linear(self.mlp_dim, name="in")(x))
        y = Dropout(self.dropout_rate)(y, train=train)
        return linear(x.shape[-1], name="out")(y)


class Block(nn.Module):
    """Mixes tokens, then channels; each with norm, dropout and a skip connection."""

    mixer: Layer
    mlp: Layer
    norm: str = "pre"  # pre: x + f(norm(x)); post: norm(x + f(x)); none: x + f(x)
    norm_epsilon: float = 1e-5
    skip: bool = True
    dropout_rate: float = 0.0  # on what each branch adds
    drop_path_rate: float = 0.0  # on a branch as a whole, for each example
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, ..., D] -> tokens [B, ..., D]."""
        check_name(("pre", "post", "none"), self.norm, "config.model.norm")
        layer_norm = functools.partial(nn.LayerNorm, self.norm_epsilon, dtype=self.dtype)
        for name, layer in (("mixer", self.mixer), ("mlp", self.mlp)):
            y = layer_norm(name=f"{name}_norm")(x) if self.norm == "pre" else x
            y = layer(name=name)(y, train=train)
            y = Dropout(self.dropout_rate)(y, train=train)
            path = Dropout(self.drop_path_rate, tuple(range(1, y.ndim)), name=f"{name}_drop_path")
            y = path(y, train=train)
            x = x + y if self.skip else y
            x = layer_norm(name=f"{name}_norm")(x) if self.norm == "post" else x
        return x


class Encoder(nn.Module):
    """A stack of equal blocks."""

    block: functools.partial  # maker of a Block
    num_layers: int
    clone_layers: bool = False  # all blocks start as copies of the first, as torch's encoder does
    remat: bool = False  # compute a block again in the backward pass instead of keeping its inside

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, N, D] -> tokens [B, N, D]."""

        def run(block: nn.Module, x: jax.Array) -> jax.Array:
            return block(x, train=train)

        run = nn.remat(run) if self.remat else run
        for i in range(self.num_layers):
            block: Layer = self.block
            if self.clone_layers and i > 0 and self.is_initializing():
                block = self._copy_of_first()
            x = run(block(name=f"block_{i}"), x)
        return x

    def _copy_of_first(self) -> Layer:
        """Returns a maker of blocks whose parameters are those of block_0."""
        first = self.variables["params"]["block_0"]

        def make(name: str) -> nn.Module:
            copy = nn.map_variables(
                Block, "params", trans_out_fn=lambda _: {"params": first}, init=True, mutable=True
            )
            return copy(**self.block.keywords, name=name)

        return make


class Head(nn.Module):
    """Classifier: hidden layers with activation and dropout, then the logits."""

    num_classes: int  # 0: no logits, the features as they are
    hidden_dims: tuple[int, ...] = ()
    activation: str = "gelu"
    activate_logits: bool = False  # activation and dropout on the logits too, as seed 004 did
    dropout_rate: float = 0.0
    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Features [B, D] -> logits [B, num_classes], float32."""
        activate = choose(ACTIVATIONS, self.activation, "config.model.head_activation")
        linear = functools.partial(Linear, kernel_init=self.kernel_init, dtype=self.dtype)
        for i, width in enumerate(self.hidden_dims):
            x = activate(linear(width, name=f"hidden_{i}")(x))
            x = Dropout(self.dropout_rate)(x, train=train)
        if self.num_classes == 0:
            return x.astype(jnp.float32)
        logits = linear(self.num_classes, name="logits")(x)
        if self.activate_logits:
            logits = Dropout(self.dropout_rate)(activate(logits), train=train)
        return logits.astype(jnp.float32)


def sincos_2d(height: int, width: int, dim: int) -> np.ndarray:
    """Fixed 2-D sine and cosine position table, [height * width, dim].

    As in MoCo v3 (https://arxiv.org/abs/2104.02057): a quarter of the channels each for sine and
    cosine of x and of y. Raises UserError unless 4 divides `dim`.
    """
    if dim % 4:
        raise UserError(
            f"position_embedding='sincos' needs hidden_dim divisible by 4, not {dim}; "
            "change config.model.hidden_dim or config.model.position_embedding"
        )
    frequencies = 10_000.0 ** -np.linspace(0, 1, dim // 4, endpoint=False)
    y, x = np.mgrid[:height, :width].reshape(2, -1, 1) * frequencies
    return np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1).astype(np.float32)
