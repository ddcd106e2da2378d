"""vitjax: small and efficient image classifiers in JAX and Flax."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitjax.inference.predictor import load, predict

__all__ = ["load", "predict"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports what needs JAX when it is asked for, so that the command line starts at once."""
    if name in __all__:
        from vitjax.inference import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
