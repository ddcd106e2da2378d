"""A digest in a JSON file of measurements, which tells whether one of them was changed since."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitjax.errors import UserError

_SEAL = "sha256"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of a file with the digest of all the rest."""
    return {**content, _SEAL: _digest(content)}


def opened(content: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Returns the content of `file` without its digest; UserError if that is of another content.

    Files of earlier versions have none.
    """
    rest = {key: value for key, value in content.items() if key != _SEAL}
    if content.get(_SEAL, _digest(rest)) != _digest(rest):
        raise UserError(
            f"{file} was changed since it was written (its {_SEAL} is of other content); put it "
            "back, or use another --workdir"
        )
    return rest


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
