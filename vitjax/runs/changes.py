"""In what two configs, or other JSON of runs, differ, where that matters."""

import json
from collections.abc import Mapping
from typing import Any

# Do not change a result; dataset.json tells other data apart.
_FREE_KEYS = (
    "steps_per_call",
    "data.data_dir",
    "data.image_root",
    "data.stream",
    "data.num_workers",
    "data.cache",
    "mesh.data",
    "mesh.fsdp",
    "log.tensorboard",
    "log.wandb",
)
_FREE_PLACES = ("distill.workdir",)  # the same; but whether there is one, "" or not, does


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns where two flattened configs (as JSON) differ, but for options free to change."""
    return [
        f"{key} was {json.dumps(old.get(key))}, is {json.dumps(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and not _is_free(key, old.get(key), new.get(key))
    ]


def _is_free(key: str, old: Any, new: Any) -> bool:
    return key in _FREE_KEYS or (key in _FREE_PLACES and bool(old) == bool(new))
