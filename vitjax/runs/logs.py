"""Copies of metrics.jsonl for TensorBoard and Weights & Biases, where asked for.

The only importer of tensorboardX and wandb.
"""

import importlib
import importlib.util
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitjax.errors import UserError


def check_installed(*, tensorboard: bool, wandb: bool) -> None:
    """Raises UserError if a log is wanted whose library is not installed."""
    for wanted, library, option, extra in (
        (tensorboard, "tensorboardX", "tensorboard", "log"),
        (wandb, "wandb", "wandb", "wandb"),
    ):
        if wanted and importlib.util.find_spec(library) is None:
            raise UserError(
                f"config.log.{option} needs {library}: pip install '.[{extra}]' in the checkout, "
                "or leave the option out"
            )


class Logs:
    """Where the numbers of a run's epochs go besides metrics.jsonl."""

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        tensorboard: bool,
        wandb: bool,
        sweep: str = "",
    ):
        """`config` is that of the run in `folder`; `sweep` names the sweep that it is part of."""
        self._folder, self._config, self._sweep = folder, config, sweep
        self._wanted = {"tensorboard": tensorboard, "wandb": wandb}
        self._tensorboard: Any = None
        self._wandb: Any = None

    def open(self, step: int) -> None:
        """Goes on at `step`: what an earlier process logged after it is superseded."""
        if self._wanted["tensorboard"]:
            from tensorboardX import SummaryWriter

            folder = self._folder / "tensorboard"
            self._tensorboard = SummaryWriter(str(folder), purge_step=step + 1)
        if self._wanted["wandb"]:
            self._wandb = _wandb_run(self._folder, self._config, self._sweep)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Adds numbers, named train_loss and so on, at `step`."""
        if self._tensorboard:
            for name, value in numbers.items():
                self._tensorboard.add_scalar(name, value, step)
            self._tensorboard.flush()
        if self._wandb:
            self._wandb.log(dict(numbers), step=step)

    def close(self) -> None:
        """Waits until all is written."""
        if self._tensorboard:
            self._tensorboard.close()
        if self._wandb:
            self._wandb.finish()


def _wandb_run(folder: Path, config: Mapping[str, Any], sweep: str) -> Any:
    import wandb

    try:
        return wandb.init(
            id=_run_id(folder / "wandb_id"),
            name=folder.name,
            dir=str(folder),
            config=dict(config),
            group=sweep or None,
            resume="allow",
            reinit="create_new",  # members of a sweep are in training at the same time
        )
    except wandb.errors.Error as error:
        raise UserError(
            f"Weights & Biases does not begin: {error}; run wandb login, set WANDB_MODE=offline, "
            "or leave config.log.wandb out"
        ) from error


def _run_id(path: Path) -> str:
    """Returns the id that a run had before, or else a new one, which it keeps."""
    if not path.exists():
        path.write_text(uuid.uuid4().hex[:8])
    return path.read_text()
