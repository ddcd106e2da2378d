"""The parts that the networks share."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vitjax.errors import UserError
from vitjax.models.names import check_name, choose
from vitjax.models.parts import init, passes
from vitjax.models.parts.dropout import Dropout

Layer = Callable[..., nn.Module]  # builds a module from a name; tokens [B, N, D] -> [B, N, D]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": passes.gelu,  # by erf, as torch's default
    "gelu_tanh": functools.partial(nn.gelu, approximate=True),
    "relu": nn.relu,
    "tanh": jnp.tanh,
}


class LayerNorm(nn.Module):
    """Normalises each token, and scales and shifts it by learned numbers."""

    epsilon: float = 1e-5
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [..., D]."""
        width = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, width)
        bias = self.param("bias", nn.initializers.zeros, width)
        return passes.layer_norm(x.astype(self.dtype), scale, bias, self.epsilon)


class Linear(nn.Module):
    """x @ kernel + bias, with an initialiser by name."""

    features: int
    use_bias: bool = True
    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., features]."""
        kernel, bias = self.parameters(x.shape[-1])
        return passes.linear(x.astype(self.dtype), kernel) + bias

    @nn.compact
    def parameters(self, fan_in: int) -> tuple[jax.Array, jax.Array]:
        """Returns kernel [in, features] and bias [features], in the dtype of the layer."""
        start = init.by_name(self.kernel_init)
        kernel = self.param("kernel", start.kernel, (fan_in, self.features))
        bias = jnp.zeros(self.features)
        if self.use_bias:
            bias = self.param("bias", start.bias(fan_in), (self.features,))
        return kernel.astype(self.dtype), bias.astype(self.dtype)

    def in_parts(self, x: jax.Array, num_parts: int) -> list[jax.Array]:
        """[..., in] -> parts [..., features / num_parts], each laid out as its use wants it."""
        kernel, bias = self.parameters(x.shape[-1])
        parts = passes.linear_in_parts(x.astype(self.dtype), kernel, num_parts)
        return [part + b for part, b in zip(parts, jnp.split(bias, num_parts), strict=True)]


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


class LayerScale(nn.Module):
    """Scales each channel by a learned number (https://arxiv.org/abs/2103.17239).

    So that the branches of a deep network start small.
    """

    start: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [..., D]."""
        scale = self.param("scale", nn.initializers.constant(self.start), x.shape[-1:])
        return x * scale.astype(self.dtype)


class Block(nn.Module):
    """Mixes tokens, then channels; each with norm, dropout and a skip connection."""

    mixer: Layer
    mlp: Layer
    norm: str = "pre"  # pre: x + f(norm(x)); post: norm(x + f(x)); none: x + f(x)
    norm_epsilon: float = 1e-5
    skip: bool = True
    dropout_rate: float = 0.0  # on what each branch adds
    layer_scale: float = 0.0  # start of the factors of what each branch adds; 0: none
    drop_path_rate: float = 0.0  # on a branch as a whole, for each example
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, ..., D] -> tokens [B, ..., D]."""
        check_name(("pre", "post", "none"), self.norm, "config.model.norm")
        layer_norm = functools.partial(LayerNorm, self.norm_epsilon, dtype=self.dtype)
        for name, layer in (("mixer", self.mixer), ("mlp", self.mlp)):
            y = layer_norm(name=f"{name}_norm")(x) if self.norm == "pre" else x
            y = layer(name=name)(y, train=train)
            y = Dropout(self.dropout_rate)(y, train=train)
            if self.layer_scale:
                y = LayerScale(self.layer_scale, self.dtype, name=f"{name}_layer_scale")(y)
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
    drop_path_rate: float = 0.0  # of the last block's branches; grows from 0 with the depth

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, N, D] -> tokens [B, N, D]."""

        def run(block: nn.Module, x: jax.Array) -> jax.Array:
            return block(x, train=train)

        run = nn.remat(run) if self.remat else run
        for i, rate in enumerate(drop_path_rates(self.drop_path_rate, self.num_layers)):
            block: Layer = self.block
            if self.clone_layers and i > 0 and self.is_initializing():
                block = self._copy_of_first()
            x = run(block(drop_path_rate=rate, name=f"block_{i}"), x)
        return x

    def _copy_of_first(self) -> Layer:
        """Returns a maker of blocks whose parameters are those of block_0."""
        first = self.variables["params"]["block_0"]

        def make(**options: Any) -> nn.Module:
            """Returns a block that begins with the first one's parameters."""
            copy = nn.map_variables(
                Block, "params", trans_out_fn=lambda _: {"params": first}, init=True, mutable=True
            )
            return copy(**self.block.keywords, **options)

        return make


def drop_path_rates(rate: float, num_layers: int) -> tuple[float, ...]:
    """Returns rates from 0 for the first of all blocks to `rate` for the last, evenly spaced.

    Stochastic depth (https://arxiv.org/abs/1603.09382), as Swin's code has it.
    """
    return tuple(map(float, np.linspace(0, rate, num_layers)))


class AttentionPool(nn.Module):
    """A mean of tokens, weighted by a softmax of what a learned vector gives with each.

    The sequence pooling of CCT (https://arxiv.org/abs/2104.05704), without its bias, which shifts
    all alike.
    """

    kernel_init: str = "xavier_uniform"
    dtype: Any = jnp.float32

    def __call__(self, x: jax.Array) -> jax.Array:
        """Tokens [B, N, D] -> features [B, D]."""
        return jnp.einsum("bn,bnd->bd", self.weights(x).astype(self.dtype), x)

    @nn.compact
    def weights(self, x: jax.Array) -> jax.Array:
        """Tokens [B, N, D] -> the share of each in the mean [B, N], float32."""
        score = Linear(1, False, self.kernel_init, self.dtype, name="score")
        return nn.softmax(score(x)[..., 0].astype(jnp.float32))


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
