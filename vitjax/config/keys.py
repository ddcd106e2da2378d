"""Names of options, and those that were meant."""

import difflib
from collections.abc import Iterable, Sequence

from ml_collections import ConfigDict

from vitjax.config.forms import flatten
from vitjax.errors import UserError


def check_keys(keys: Iterable[str], config: ConfigDict, prefix: str = "", where: str = "") -> None:
    """Raises UserError for a key that the config lacks, with the nearest ones behind `prefix`.

    `where` says where it was given.
    """
    known = flatten(config)
    for key in keys:
        if own := [f"{prefix}{k}" for k in known if k.startswith(f"{key}.")]:
            raise UserError(f"{prefix}{key}{where} has options of its own: {', '.join(own)}")
        if key not in known:
            near = " or ".join(f"{prefix}{k}" for k in nearest_keys(key, config))
            hint = f"; did you mean {near}?" if near else ""
            raise UserError(f"unknown option {prefix}{key}{where}{hint}")


def nearest_keys(key: str, config: ConfigDict) -> Sequence[str]:
    """Returns the keys of `config` nearest to an unknown one, the best first."""
    known = flatten(config)
    groups = [name for name in config if isinstance(config[name], ConfigDict)]
    last = key.rsplit(".", 1)[-1]
    same_name = [k for k in known if k.rsplit(".", 1)[-1] == last]
    close = difflib.get_close_matches(key, [*known, *groups], n=3)
    tails = {k.rsplit(".", 1)[-1]: k for k in known}
    close_tails = [tails[t] for t in difflib.get_close_matches(last, tails, n=3)]
    return list(dict.fromkeys([*same_name, *close, *close_tails]))[:3]
