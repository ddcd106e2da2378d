"""The options of a run: an ml_collections.ConfigDict."""

from vitjax.config.defaults import debug, default, use_model
from vitjax.config.forms import flatten, to_json
from vitjax.config.keys import check_keys, nearest_keys
from vitjax.config.ranges import check, problems

__all__ = [
    "check",
    "check_keys",
    "debug",
    "default",
    "flatten",
    "nearest_keys",
    "problems",
    "to_json",
    "use_model",
]
