"""What a command takes from its environment, checked before a library reads it."""

import os

from vitjax.errors import UserError

_SWITCH = ("1", "true", "t", "yes", "y", "on", "0", "false", "f", "no", "n", "off")  # JAX's words
_MOST_DEVICES = 1024
# What JAX's libraries and threads take before any array, of each limit: its letter for ulimit, GiB.
# Where they get none, they abort.
_TAKEN = {"RLIMIT_AS": ("v", 2.0), "RLIMIT_DATA": ("d", 0.9)}


def check() -> None:
    """Raises UserError for a variable's value, or a limit, that JAX would not take.

    Also without a folder.
    """
    _check_limits()
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the current folder is gone; change to another") from error
    number = os.environ.get("JAX_NUM_CPU_DEVICES", "1")
    is_number = number.isascii() and number.isdecimal()
    if not (is_number and 1 <= int(number) <= _MOST_DEVICES):
        raise UserError(
            f"JAX_NUM_CPU_DEVICES={number!r} in the environment should be a whole number from 1 "
            f"to {_MOST_DEVICES:,}"
        )
    keeps = os.environ.get("JAX_ENABLE_COMPILATION_CACHE", "1")
    if keeps.lower() not in _SWITCH:
        raise UserError(
            f"JAX_ENABLE_COMPILATION_CACHE={keeps!r} in the environment should be 0 or 1"
        )
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", "")
    if os.path.exists(cache) and not os.path.isdir(cache):
        raise UserError(f"JAX_COMPILATION_CACHE_DIR={cache!r} in the environment is no folder")


def _check_limits() -> None:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    for name, (letter, taken) in _TAKEN.items():
        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY and limit < taken * 2**30:
            raise UserError(
                f"ulimit -{letter} leaves this process {limit / 2**30:.3g} GiB, of which JAX takes "
                f"{taken:g} before any array; raise it"
            )


def is_on(name: str) -> bool:
    """Whether a variable of vitjax's own is set, and not to 0."""
    return os.environ.get(name, "0") not in ("", "0")
