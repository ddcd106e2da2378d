"""Vision classifier with linear attention (Linformer, https://arxiv.org/abs/2006.04768)."""

import functools

from vitjax.models.classifier import PatchClassifier
from vitjax.models.parts.attention import LinformerAttention
from vitjax.models.parts.layers import Layer


class Linformer(PatchClassifier):
    """Classifier whose tokens attend to `k_dim` projected tokens."""

    num_heads: int = 4
    k_dim: int = 64
    share_kv: bool = False  # the projected keys serve as values too
    head_dim: int | None = None  # None: hidden_dim / num_heads
    qkv_bias: bool = False
    out_proj: bool = True
    attention_dropout_rate: float = 0.0  # on the attention weights

    def token_mixer(self) -> Layer:
        """Returns a maker of `LinformerAttention`."""
        return functools.partial(
            LinformerAttention,
            self.num_heads,
            self.k_dim,
            share_kv=self.share_kv,
            head_dim=self.head_dim,
            qkv_bias=self.qkv_bias,
            out_proj=self.out_proj,
            dropout_rate=self.attention_dropout_rate,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
        )
