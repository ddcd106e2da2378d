"""A config as flat names and as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict


def to_json(config: ConfigDict) -> dict[str, Any]:
    """Returns the config as JSON would give it back (tuples become lists)."""
    return json.loads(config.to_json())


def flatten(tree: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"data.batch_size": 128, ...} of a config or of nested dicts."""
    return flatten_dict(tree.to_dict() if isinstance(tree, ConfigDict) else tree, sep=".")
