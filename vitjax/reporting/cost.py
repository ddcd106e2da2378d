"""Where a model's parameters and multiply-accumulates are."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np


class Cost(NamedTuple):
    """Of one part of a model, over all blocks that have it."""

    part: str  # block_* for all blocks
    num_params: int
    num_macs: int


def costs(params: Any, macs: Mapping[str, int]) -> list[Cost]:
    """Returns the cost of each part, from parameters and MACs by the path of their module.

    Parts are the model's modules, in the order in which the image meets them as far as MACs tell;
    a stack of blocks is taken apart once, into what each block holds.
    """
    sizes: dict[str, int] = {}
    for keys, value in jax.tree_util.tree_leaves_with_path(params):
        part = _part("/".join(key.key for key in keys))
        sizes[part] = sizes.get(part, 0) + int(np.prod(value.shape))
    products: dict[str, int] = {}
    for path, count in macs.items():
        products[_part(path)] = products.get(_part(path), 0) + count
    parts = dict.fromkeys([*products, *sizes])
    return [Cost(part, sizes.get(part, 0), products.get(part, 0)) for part in parts]


def _part(path: str) -> str:
    """Returns encoder/block_*/mlp for encoder/block_3/mlp/in/kernel, and head for head/logits.

    Of a stage, what is not in its blocks is a part too.
    """
    block = re.match(r"(.*?)block_\d+/([^/]+)", path)
    if block:
        return f"{block[1]}block_*/{block[2]}"
    first, *rest = path.split("/")
    return f"{first}/{rest[0]}" if first.startswith("stage_") else first
