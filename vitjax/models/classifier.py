"""The classifier that ViT, Mixer and Linformer are: stem, blocks, pooling, head."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax.errors import UserError
from vitjax.models.names import check_name
from vitjax.models.parts.dropout import Dropout
from vitjax.models.parts.layers import (
    AttentionPool,
    Block,
    Encoder,
    Head,
    Layer,
    LayerNorm,
    Mlp,
    sincos_2d,
)
from vitjax.models.parts.stem import ConvStem, PatchStem


class PatchClassifier(nn.Module):
    """Stem -> position embedding -> blocks -> pooling -> head.

    A subclass says how tokens are mixed (`token_mixer`); all else is an option here.
    """

    num_classes: int  # 0: features, without a head
    patch_size: int = 4  # pixels
    hidden_dim: int = 128  # width of a token
    num_layers: int = 6
    mlp_dim: int = 256  # hidden width of the channel MLP
    stem: str = "conv"  # linear | conv | conv3x3 (convolutions and max pooling, as CCT's)
    stem_dim: int = 64  # channels of conv3x3's layers but the last
    stem_norm: bool = False  # LayerNorm on each patch and on its token, as in vit-pytorch 1.0
    pool: str = "cls"  # cls (a class token) | mean | attention (a mean by learned weights)
    num_registers: int = 0  # learned tokens besides, which the head does not see
    position_embedding: str = "learned"  # learned | sincos | none
    position_on_class_token: bool = True
    embedding_std: float = 0.02  # of the class token and learned positions at the start; 0: zeros
    norm: str = "pre"  # pre | post | none
    norm_epsilon: float = 1e-5
    final_norm: bool = True
    norm_after_pool: bool = False  # the final norm is that of the mean, as timm's fc_norm
    skip: bool = True
    layer_scale: float = 0.0  # start of the factors of what each branch adds; 0: none
    activation: str = "gelu"  # gelu (exact) | gelu_tanh | relu | tanh
    kernel_init: str = "xavier_uniform"  # a name in vitjax.models.parts.init.INITS
    clone_layers: bool = False  # all blocks start as copies of the first
    remat: bool = False  # less memory in training on GPU and TPU, for a third more time
    head_hidden_dims: tuple[int, ...] = ()
    head_activation: str = "gelu"
    head_activate_logits: bool = False
    embedding_dropout_rate: float = 0.0
    mlp_dropout_rate: float = 0.0  # on the hidden units of the channel MLP
    dropout_rate: float = 0.0  # on what each branch of a block adds
    head_dropout_rate: float = 0.0
    drop_path_rate: float = 0.0  # of the last block's branches; grows from 0 with the depth
    dtype: Any = jnp.float32  # of the computation; parameters are float32

    def token_mixer(self) -> Layer:
        """Returns a maker of the module that mixes tokens, [B, N, D] -> [B, N, D]."""
        raise TypeError(f"{type(self).__name__} does not say how it mixes tokens")

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Images [B, H, W, C] (normalised floats) -> logits [B, num_classes], float32.

        With `train=True` and a dropout rate above 0, `apply` needs `rngs={"dropout": key}`.
        """
        check_name(("cls", "mean", "attention"), self.pool, "config.model.pool")
        if self.drop_path_rate and not self.skip:
            raise UserError(
                f"drop_path_rate={self.drop_path_rate} with skip=False would drop all of an "
                "example; set config.model.drop_path_rate to 0 or config.model.skip to True"
            )
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        x = self._stem()(images)
        grid = images.shape[1] // self.patch_size, images.shape[2] // self.patch_size
        x = self._register(self._embed(x, grid))
        x = Dropout(self.embedding_dropout_rate)(x, train=train)
        mlp = functools.partial(Mlp, self.mlp_dim, self.activation, self.mlp_dropout_rate, **common)
        block = functools.partial(
            Block,
            mixer=self.token_mixer(),
            mlp=mlp,
            norm=self.norm,
            norm_epsilon=self.norm_epsilon,
            skip=self.skip,
            dropout_rate=self.dropout_rate,
            layer_scale=self.layer_scale,
            dtype=self.dtype,
        )
        x = Encoder(
            block,
            self.num_layers,
            self.clone_layers,
            self.remat,
            self.drop_path_rate,
            name="encoder",
        )(x, train=train)
        return Head(
            self.num_classes,
            self.head_hidden_dims,
            self.head_activation,
            self.head_activate_logits,
            self.head_dropout_rate,
            **common,
            name="head",
        )(self._pool(x), train=train)

    def _stem(self) -> nn.Module:
        """Returns what makes tokens [B, N, D] of images."""
        check_name(("linear", "conv", "conv3x3"), self.stem, "config.model.stem")
        if self.stem != "conv3x3":
            return PatchStem(
                self.hidden_dim,
                self.patch_size,
                self.stem,
                patch_norm=self.stem_norm,
                token_norm=self.stem_norm,
                norm_epsilon=self.norm_epsilon,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name="stem",
            )
        if self.stem_norm:
            raise UserError(
                "stem_norm=True normalises patches, which stem='conv3x3' does not cut; change "
                "config.model.stem_norm or config.model.stem"
            )
        return ConvStem(
            self.hidden_dim, self.patch_size, self.stem_dim, dtype=self.dtype, name="stem"
        )

    def _pool(self, x: jax.Array) -> jax.Array:
        """Tokens [B, (1 +) num_registers + N, D] -> features [B, D], normalised."""
        norm = functools.partial(LayerNorm, self.norm_epsilon, dtype=self.dtype)
        # Another function has another name, so that weights of one do not fit the other.
        after = self.pool == "mean" and self.norm_after_pool
        if self.pool == "cls":
            x = x[:, 0]  # before the norm, which works on each token alone
        elif self.num_registers:
            x = x[:, self.num_registers :]
        if self.final_norm and not after:
            x = norm(name="final_norm")(x)
        if self.pool == "mean":
            x = jnp.mean(x, axis=1)
        if self.pool == "attention":
            x = AttentionPool(self.kernel_init, self.dtype, name="pool")(x)
        return norm(name="pool_norm")(x) if self.final_norm and after else x

    def _embed(self, x: jax.Array, grid: tuple[int, int]) -> jax.Array:
        """Adds positions and the class token: [B, N, D] -> [B, N (+ 1), D]."""
        check_name(
            ("learned", "sincos", "none"),
            self.position_embedding,
            "config.model.position_embedding",
        )
        with_token = self.pool == "cls"
        start = nn.initializers.normal(self.embedding_std)
        if self.position_embedding == "sincos":
            x = x + jnp.asarray(sincos_2d(*grid, self.hidden_dim), x.dtype)
        on_all = with_token and self.position_on_class_token
        positions = jnp.zeros((), x.dtype)
        if self.position_embedding == "learned":
            shape = (1, x.shape[1] + on_all, self.hidden_dim)
            positions = self.param("position_embedding", start, shape).astype(x.dtype)
            x = x if on_all else x + positions
        if with_token:
            token = self.param("class_token", start, (1, 1, self.hidden_dim)).astype(x.dtype)
            tokens = jnp.broadcast_to(token, (x.shape[0], 1, token.shape[-1]))
            x = jnp.concatenate([tokens, x], axis=1)
        return x + positions if on_all else x

    def _register(self, x: jax.Array) -> jax.Array:
        """Puts registers (https://arxiv.org/abs/2309.16588) between class token and patches.

        [B, N, D] -> [B, N + num_registers, D].
        """
        if not self.num_registers:
            return x
        start = nn.initializers.normal(0.02)  # equal ones would stay equal: never 0
        shape = (1, self.num_registers, self.hidden_dim)
        tokens = self.param("register_tokens", start, shape).astype(x.dtype)
        tokens = jnp.broadcast_to(tokens, (x.shape[0], *shape[1:]))
        first = int(self.pool == "cls")
        return jnp.concatenate([x[:, :first], tokens, x[:, first:]], axis=1)
