"""A config as flat names and as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from vitjax.errors import UserError


def to_json(config: ConfigDict) -> dict[str, Any]:
    """Returns the config as JSON would give it back (tuples become lists).

    Raises UserError for a value that JSON has not, as an array.
    """
    for key, value in flatten(config).items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise UserError(
                f"config.{key}={value!r} should be text, a number or a tuple of these; of an array "
                "take tuple(array.tolist())"
            ) from error
    return json.loads(config.to_json())


def flatten(tree: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"data.batch_size": 128, ...} of a config or of nested dicts."""
    return flatten_dict(tree.to_dict() if isinstance(tree, ConfigDict) else tree, sep=".")
