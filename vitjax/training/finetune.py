"""Fine-tuning: which parameters learn, and how fast each."""

import re
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from vitjax.errors import UserError

_BLOCK = re.compile(r"(?:stage_(\d+)/)?block_(\d+)/")
_STEM = ("stem/", "class_token", "position_embedding")


def split(params: Any, train_only: str) -> tuple[Any, Any]:
    """Returns the parameters that learn and those that stay, two trees of nested dicts.

    Those learn whose path ("head/logits/kernel") begins with a match of the regular expression
    `train_only`; "" means all. Raises UserError where nothing matches or it is no expression.
    """
    if not train_only:
        return params, {}
    flat = flatten_dict(params, sep="/")
    try:
        learns = {path for path in flat if re.match(train_only, path)}
    except re.error as error:
        raise UserError(
            f"config.finetune.train_only={train_only!r} is no regular expression: {error}"
        ) from error
    if not learns:
        raise UserError(
            f"config.finetune.train_only={train_only!r} matches no parameter; their paths begin "
            f"with {', '.join(sorted(params))}"
        )
    parts = ({p: x for p, x in flat.items() if (p in learns) is wanted} for wanted in (True, False))
    trained, frozen = (unflatten_dict(part, sep="/") for part in parts)
    return trained, frozen


def merge(params: Any, newer: Any) -> Any:
    """Returns `params` with the values of the nested dict `newer` in their places."""
    if not isinstance(newer, dict):
        return newer
    return params | {name: merge(params.get(name, {}), value) for name, value in newer.items()}


def rate_factors(params: Any, layer_decay: float, head_factor: float) -> Any:
    """Returns each parameter's factor of the learning rate, a tree of floats.

    The head has `head_factor`; what lies n blocks below it `layer_decay` ** n, as BEiT
    (https://arxiv.org/abs/2106.08254) fine-tunes: stem and positions lie below the first block.
    """
    flat = flatten_dict(params, sep="/")
    blocks = sorted({place for path in flat if (place := _place(path)) is not None})
    factors = {}
    for path in flat:
        place = _place(path)
        above = len(blocks) + 1 if path.startswith(_STEM) else 0
        if place is not None:
            above = len(blocks) - blocks.index(place)
        factors[path] = head_factor if path.startswith("head/") else layer_decay**above
    return unflatten_dict(factors, sep="/")


def _place(path: str) -> tuple[int, int] | None:
    """Returns (stage, block) of a parameter in a block, else None."""
    found = _BLOCK.search(path)
    return (int(found[1] or 0), int(found[2])) if found else None
