"""The variables of one of vitjax's own runs."""

from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from vitjax.pretrained.convert import Arrays
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.weights import is_run, read_variables

__all__ = ["is_run", "read"]


def read(path: Path) -> Arrays:
    """Returns the arrays by path of a run's best epoch, as evaluation uses them.

    Raises UserError where there is nothing to read.
    """
    _, variables = read_variables(RunFolder(path))
    return {name: np.asarray(x) for name, x in flatten_dict(variables, sep="/").items()}
