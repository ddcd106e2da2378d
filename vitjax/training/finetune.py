"""Fine-tuning: which parameters learn, and how fast each."""

import math
import re
from bisect import bisect_right
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from vitjax.errors import UserError

_BLOCK = re.compile(r"(?:stage_(\d+)/)?(?:(?:block|conv)_(\d+)|merging)/")
_HIDDEN = re.compile(r"hidden_(\d+)/")  # between blocks and head
_STEM = ("stem/", "class_token", "position_embedding", "register_tokens")


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


def rate_factors(params: Any, layer_decay: float, head_factor: float) -> Any:
    """Returns each parameter's factor of the learning rate, a tree of floats.

    The head has `head_factor`; what lies n blocks below it `layer_decay` ** n, as BEiT
    (https://arxiv.org/abs/2106.08254) fine-tunes: stem and positions lie below the first block. A
    Swin's merging of patches goes with the block before it, as in SimMIM
    (https://arxiv.org/abs/2111.09886); a ResNet's shortcut with the block that it is in. Each of a
    VGG's convolutions and hidden layers is a block.
    """
    flat = flatten_dict(params, sep="/")
    places = {path: _place(path) for path in flat}
    blocks = sorted({place for place in places.values() if place and place[1] >= 0})
    factors = {}
    for path, place in places.items():
        above = 0 if place is None else 1 + len(blocks) - bisect_right(blocks, place)
        factors[path] = head_factor if path.startswith("head/") else layer_decay**above
    return unflatten_dict(factors, sep="/")


def _place(path: str) -> tuple[float, int] | None:
    """Returns (stage, block) of a parameter; block -1 lies below all; None above all blocks."""
    if path.startswith(_STEM):
        return 0, -1
    if found := _HIDDEN.match(path):
        return math.inf, int(found[1])
    found = _BLOCK.search(path)
    return (int(found[1] or 0), int(found[2] or -1)) if found else None
