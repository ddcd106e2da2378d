"""The weights of a run, read from its folder."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from vitjax.errors import UserError
from vitjax.runs import checkpoints, selection
from vitjax.runs.manifest import saved_steps
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.saved_config import read_config

_LOST = "has lost its checkpoints; put them back, or train it again in another --workdir"
_NOT_TRAINED = "has no checkpoint yet; train it with python -m vitjax.main"


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return (path / "checkpoints").is_dir() and (path / "config.json").is_file()


def read_variables(folder: RunFolder, step: str | int = "best") -> tuple[int, dict[str, Any]]:
    """Returns the step and the variables, {"params": ..., ...} of NumPy arrays, of a checkpoint.

    It is that of the "best" epoch on validation, of the "last" step or of step N. Parameters are
    averaged where the run kept averages. Raises UserError where there is no such
    checkpoint, or the folder's files do not fit it.
    """
    while True:
        number = _find_step(folder, step)
        try:
            return number, _variables(folder, number)
        except UserError:
            if (folder.checkpoints / str(number)).exists():
                raise  # else training dropped it meanwhile, and has others


def _variables(folder: RunFolder, number: int) -> dict[str, Any]:
    for each in {number, saved_steps(folder.checkpoints)[-1]}:  # which knows all epochs
        folder.check_fits(each)
    parts = checkpoints.read(folder.checkpoints, number, ("params", "ema_params", "model_state"))
    params = merge(parts["params"], parts["ema_params"])
    return {"params": params, **parts["model_state"]}


def merge(params: Any, newer: Any) -> Any:
    """Returns `params` with the values of the nested dict `newer` in their places."""
    if not isinstance(newer, dict):
        return newer
    return params | {name: merge(params.get(name, {}), value) for name, value in newer.items()}


def _find_step(folder: RunFolder, step: str | int) -> int:
    """Returns the number of the "best", the "last" or a given step that has a checkpoint."""
    steps = saved_steps(folder.checkpoints)
    if not steps:
        lost = folder.evaluation() is not None
        raise UserError(f"{folder.path} {_LOST if lost else _NOT_TRAINED}")
    if step == "last":
        return steps[-1]
    number = _best_step(folder, steps) if step == "best" else step
    if number not in steps:
        others = "last" if step == "best" else "best, last"
        raise UserError(
            f"step {number} has no checkpoint in {folder.path}; choose {others} or one of "
            f"{', '.join(map(str, steps))}"
        )
    return int(number)


def _best_step(folder: RunFolder, steps: Collection[int]) -> int:
    """Returns at which step a finished run was evaluated, else the best that has a checkpoint."""
    evaluation = folder.evaluation()
    if evaluation is not None:
        return evaluation["step"]
    kept = [line for line in folder.metrics() if line["step"] in steps]
    return selection.best(kept, read_config(folder).select_by).get("step", max(steps))
