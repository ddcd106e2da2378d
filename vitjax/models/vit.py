"""Vision Transformer (https://arxiv.org/abs/2010.11929)."""

import functools

from vitjax.models.classifier import PatchClassifier
from vitjax.models.parts.attention import SelfAttention
from vitjax.models.parts.layers import Layer


class ViT(PatchClassifier):
    """Classifier whose tokens are mixed by full self-attention."""

    num_heads: int = 4
    head_dim: int | None = None  # None: hidden_dim / num_heads
    qkv_bias: bool = True
    out_proj: bool = True
    attention_dropout_rate: float = 0.0  # on the attention weights
    qkv_init: str = ""  # "": kernel_init
    out_init: str = ""  # "": kernel_init

    def token_mixer(self) -> Layer:
        """Returns a maker of `SelfAttention`."""
        return functools.partial(
            SelfAttention,
            self.num_heads,
            head_dim=self.head_dim,
            qkv_bias=self.qkv_bias,
            out_proj=self.out_proj,
            dropout_rate=self.attention_dropout_rate,
            kernel_init=self.kernel_init,
            qkv_init=self.qkv_init,
            out_init=self.out_init,
            dtype=self.dtype,
        )
