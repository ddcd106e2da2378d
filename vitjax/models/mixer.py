"""MLP-Mixer (https://arxiv.org/abs/2105.01601)."""

import functools
from typing import Any

import flax.linen as nn
import jax

from vitjax.models.classifier import PatchClassifier
from vitjax.models.parts.layers import Layer, Mlp


class TokenMlp(nn.Module):
    """An MLP along the tokens: every channel is mixed alike."""

    mlp: Any  # maker of an Mlp

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Tokens [B, N, D] -> tokens [B, N, D]."""
        y = self.mlp(name="mlp")(x.swapaxes(1, 2), train=train)
        return y.swapaxes(1, 2)


class Mixer(PatchClassifier):
    """Classifier whose tokens are mixed by an MLP; no attention, no positions."""

    pool: str = "mean"
    position_embedding: str = "none"
    tokens_mlp_dim: int = 128  # hidden width of the token MLP

    def token_mixer(self) -> Layer:
        """Returns a maker of `TokenMlp`."""
        mlp = functools.partial(
            Mlp,
            self.tokens_mlp_dim,
            self.activation,
            self.mlp_dropout_rate,
            self.kernel_init,
            self.dtype,
        )
        return functools.partial(TokenMlp, mlp)
