"""The variables of one of vitjax's own runs."""

from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from vitjax.inference import predictor
from vitjax.pretrained.convert import Arrays


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return (path / "checkpoints").is_dir()


def read(path: Path) -> Arrays:
    """Returns the arrays by path of a run's best epoch, as evaluation uses them.

    Raises UserError where there is nothing to read.
    """
    variables = flatten_dict(dict(predictor.load(path).variables), sep="/")
    return {name: np.asarray(x) for name, x in variables.items()}
