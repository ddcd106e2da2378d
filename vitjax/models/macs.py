"""Multiply-accumulates in closed form, layer by layer.

A product of [n, a] and [a, b] counts n * a * b; biases, norms, activations, softmax and means
multiply no matrix and count nothing. `vitjax.models.num_macs` counts the same in a traced program.
"""

import itertools
import math

from flax import linen as nn

from vitjax.errors import UserError
from vitjax.models.linformer import Linformer
from vitjax.models.mixer import Mixer
from vitjax.models.vit import ViT


def layer_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, int]:
    """Returns the counts of one image [H, W, C] by kind of layer, each over all blocks.

    Raises UserError for a model that is not a ViT, Linformer or Mixer.
    """
    if not isinstance(model, Linformer | Mixer | ViT):
        raise UserError(
            f"{type(model).__name__} given, expected a ViT, Linformer or Mixer; count it with "
            "vitjax.models.num_macs"
        )
    height, width, channels = image_shape
    patch, dim = model.patch_size, model.hidden_dim
    num_patches = (height // patch) * (width // patch)
    num_tokens = num_patches + (model.pool == "cls") + model.num_registers
    kind, token_mixer = _token_mixer(model, num_tokens)
    of_stem = num_patches * patch * patch * channels * dim
    if model.stem == "conv3x3":
        of_stem = convolutions(image_shape, patch, (model.stem_dim, dim))
    pool = {"pool": 2 * num_patches * dim} if model.pool == "attention" else {}
    return {
        "stem": of_stem,
        kind: model.num_layers * token_mixer,
        "mlp": model.num_layers * mlp(num_tokens, dim, model.mlp_dim),
        **pool,
        "head": head((dim, *model.head_hidden_dims, model.num_classes)),
    }


def convolutions(image_shape: tuple[int, int, int], patch_size: int, dims: tuple[int, int]) -> int:
    """3x3 convolutions of [H, W, C], each half as large, down to H / patch_size.

    `dims` are the channels of all but the last, and of the last.
    """
    num_layers = patch_size.bit_length() - 1
    channels = (image_shape[2], *[dims[0]] * (num_layers - 1), dims[1])
    areas = (math.prod(image_shape[:2]) // 4**i for i in range(num_layers))
    pairs = itertools.pairwise(channels)
    return sum(9 * area * math.prod(pair) for area, pair in zip(areas, pairs, strict=True))


def _token_mixer(model: Linformer | Mixer | ViT, num_tokens: int) -> tuple[str, int]:
    """Returns the kind of the model's token mixer and the count of one."""
    dim = model.hidden_dim
    if isinstance(model, Mixer):
        return "token mlp", mlp(dim, num_tokens, model.tokens_mlp_dim)
    inner = model.num_heads * (model.head_dim or dim // model.num_heads)
    out = num_tokens * inner * dim * model.out_proj
    if isinstance(model, ViT):
        return "attention", attention(num_tokens, dim, inner) + out
    count = linformer_attention(num_tokens, dim, inner, model.k_dim, model.share_kv)
    return "linformer attention", count + out


def attention(num_tokens: int, dim: int, inner: int) -> int:
    """Queries, keys and values of width `inner`, q k^T, and weights times values."""
    return 3 * num_tokens * dim * inner + 2 * num_tokens**2 * inner


def linformer_attention(num_tokens: int, dim: int, inner: int, k_dim: int, share_kv: bool) -> int:
    """As `attention`, with keys (and values, unless shared) projected to `k_dim` tokens."""
    projected = 1 if share_kv else 2
    to_tokens = projected * num_tokens * k_dim * inner
    return (1 + projected) * num_tokens * dim * inner + to_tokens + 2 * num_tokens * k_dim * inner


def mlp(num_vectors: int, dim: int, hidden_dim: int) -> int:
    """Two linear layers on vectors of width `dim`."""
    return 2 * num_vectors * dim * hidden_dim


def head(widths: tuple[int, ...]) -> int:
    """Linear layers from each width to the next, on one vector."""
    return sum(math.prod(pair) for pair in itertools.pairwise(widths))
