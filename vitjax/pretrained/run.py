"""The variables of one of vitjax's own runs."""

from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from vitjax import trained
from vitjax.pretrained.convert import Arrays


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return (path / "checkpoints").is_dir()


def read(path: Path) -> Arrays:
    """Returns the arrays by path of a run's best epoch, as evaluation uses them.

    Raises FileNotFoundError or ValueError where there is nothing to read.
    """
    variables = flatten_dict(dict(trained.load(path).variables), sep="/")
    return {name: np.asarray(x) for name, x in variables.items()}
