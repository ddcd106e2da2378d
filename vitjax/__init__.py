"""vitjax: small and efficient image classifiers in JAX and Flax."""

from typing import TYPE_CHECKING, Any

from vitjax.errors import Diverged, Interrupted, UserError
from vitjax.machine import signals

if signals.is_command():  # before anything else is imported, which takes seconds
    signals.listen()

if TYPE_CHECKING:
    from vitjax.api import Run, Runs, get_config, load, train, train_grid

__all__ = [
    "Diverged",
    "Interrupted",
    "Run",
    "Runs",
    "UserError",
    "get_config",
    "load",
    "train",
    "train_grid",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports what needs JAX when it is asked for, so that the command line starts at once."""
    if name in __all__:
        from vitjax import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
