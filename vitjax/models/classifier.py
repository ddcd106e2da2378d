"""The classifier that ViT, Mixer and Linformer are: stem, blocks, pooling, head."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from vitjax.models.dropout import Dropout
from vitjax.models.layers import Block, Encoder, Head, Layer, LayerNorm, Mlp, PatchStem, sincos_2d
from vitjax.models.names import check_name


class PatchClassifier(nn.Module):
    """Patch stem -> position embedding -> blocks -> pooling -> head.

    A subclass says how tokens are mixed (`token_mixer`); all else is an option here.
    """

    num_classes: int  # 0: features, without a head
    patch_size: int = 4  # pixels
    hidden_dim: int = 128  # width of a token
    num_layers: int = 6
    mlp_dim: int = 256  # hidden width of the channel MLP
    stem: str = "conv"  # linear | conv
    stem_norm: bool = False  # LayerNorm on each patch and on its token, as in vit-pytorch 1.0
    pool: str = "cls"  # cls (a class token) | mean
    position_embedding: str = "learned"  # learned | sincos | none
    position_on_class_token: bool = True
    embedding_std: float = 0.02  # of the class token and learned positions at the start; 0: zeros
    norm: str = "pre"  # pre | post | none
    norm_epsilon: float = 1e-5
    final_norm: bool = True
    norm_after_pool: bool = False  # the final norm is that of the mean, as timm's fc_norm
    skip: bool = True
    activation: str = "gelu"  # gelu (exact) | gelu_tanh | relu | tanh
    kernel_init: str = "xavier_uniform"  # a name in vitjax.models.init.INITS
    clone_layers: bool = False  # all blocks start as copies of the first
    remat: bool = False  # less memory in training on GPU and TPU, for a third more time
    head_hidden_dims: tuple[int, ...] = ()
    head_activation: str = "gelu"
    head_activate_logits: bool = False
    embedding_dropout_rate: float = 0.0
    mlp_dropout_rate: float = 0.0  # on the hidden units of the channel MLP
    dropout_rate: float = 0.0  # on what each branch of a block adds
    head_dropout_rate: float = 0.0
    dtype: Any = jnp.float32  # of the computation; parameters are float32

    def token_mixer(self) -> Layer:
        """Returns a maker of the module that mixes tokens, [B, N, D] -> [B, N, D]."""
        raise TypeError(f"{type(self).__name__} does not say how it mixes tokens")

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Images [B, H, W, C] (normalised floats) -> logits [B, num_classes], float32.

        With `train=True` and a dropout rate above 0, `apply` needs `rngs={"dropout": key}`.
        """
        check_name(("cls", "mean"), self.pool, "config.model.pool")
        common = {"kernel_init": self.kernel_init, "dtype": self.dtype}
        x = PatchStem(
            self.hidden_dim,
            self.patch_size,
            self.stem,
            patch_norm=self.stem_norm,
            token_norm=self.stem_norm,
            norm_epsilon=self.norm_epsilon,
            **common,
            name="stem",
        )(images)
        grid = images.shape[1] // self.patch_size, images.shape[2] // self.patch_size
        x = self._embed(x, grid)
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
            dtype=self.dtype,
        )
        encoder = Encoder(block, self.num_layers, self.clone_layers, self.remat, name="encoder")
        x = encoder(x, train=train)
        return Head(
            self.num_classes,
            self.head_hidden_dims,
            self.head_activation,
            self.head_activate_logits,
            self.head_dropout_rate,
            **common,
            name="head",
        )(self._pool(x), train=train)

    def _pool(self, x: jax.Array) -> jax.Array:
        """Tokens [B, N (+ 1), D] -> features [B, D], normalised."""
        norm = functools.partial(LayerNorm, self.norm_epsilon, dtype=self.dtype)
        # Another function has another name, so that weights of one do not fit the other.
        after = self.pool == "mean" and self.norm_after_pool
        if self.pool == "cls":
            x = x[:, 0]  # before the norm, which works on each token alone
        if self.final_norm and not after:
            x = norm(name="final_norm")(x)
        if self.pool == "mean":
            x = jnp.mean(x, axis=1)
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
