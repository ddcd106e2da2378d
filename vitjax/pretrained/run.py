"""The variables of one of vitjax's own runs."""

from pathlib import Path

import numpy as np
from flax.traverse_util import flatten_dict

from vitjax.pretrained.convert import Arrays
from vitjax.training import checkpoint
from vitjax.training.finetune import merge
from vitjax.training.run_folder import RunFolder


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return (path / "checkpoints").is_dir()


def read(path: Path) -> Arrays:
    """Returns the arrays by path of a run's best epoch or, before its end, of its newest one.

    They are what evaluation uses: averaged parameters where the run has them. Raises ValueError
    where there is nothing to read.
    """
    folder = RunFolder(path)
    result = folder.evaluation()
    steps = checkpoint.saved_steps(folder.checkpoints)
    if not steps:
        raise ValueError(f"{path} has no checkpoint yet")
    step = result["step"] if result else steps[-1]
    state = checkpoint.read(folder.checkpoints, step, ("params", "ema_params", "model_state"))
    params = merge(state["params"], state["ema_params"])
    variables = {"params": params, **state["model_state"]}
    return {name: np.asarray(x) for name, x in flatten_dict(variables, sep="/").items()}
