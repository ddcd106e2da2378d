"""The epochs of a run as they are written, and which of them is the best."""

from collections.abc import Collection, Mapping
from typing import Any

from vitjax.errors import UserError
from vitjax.runs import selection
from vitjax.runs.logs import Logs
from vitjax.runs.run_folder import RunFolder


class Record:
    """The lines of metrics.jsonl of a run, also in its logs; one process of several writes them."""

    def __init__(
        self,
        folder: RunFolder,
        logs: Logs | None,
        *,
        select_by: str,
        patience: int,
        writes: bool = True,
    ):
        """`logs` are opened by `resume`; `select_by` and `patience` are those of the config."""
        self.folder, self.writes = folder, writes
        self._logs, self.select_by, self.patience = logs, select_by, patience
        self._lost: set[int] = set()  # steps that cannot be the best any more
        self.lines: list[dict[str, Any]] = []

    def truncate(self, step: int) -> None:
        """Drops from metrics.jsonl what came after `step`, which will be done again.

        Raises UserError where a run would begin anew whose checkpoints must be lost.
        """
        if not self.writes:
            return
        num_epochs = len(self.folder.metrics())
        # An epoch's line is written when the checkpoint of the one before is on disk.
        if not step and num_epochs > 1:
            raise UserError(
                f"{self.folder.path} has {num_epochs} epochs in metrics.jsonl, and their "
                "checkpoints are lost; put them back, or use another --workdir"
            )
        self.folder.truncate_metrics(step)

    def resume(self, step: int, kept: Collection[int], epochs_done: int | None) -> str:
        """Goes on after `step`; only the epochs at `kept` steps have a state that can be restored.

        Returns what to say of a best epoch that is lost, "" if none is. Raises UserError unless
        metrics.jsonl has the `epochs_done`; None: as many as there are.
        """
        self.lines = self.folder.metrics()
        if self._logs is not None:
            self._logs.open(step)
        if epochs_done is not None and len(self.lines) != epochs_done:
            raise UserError(
                f"{self.folder.path / 'metrics.jsonl'} has {len(self.lines)} epochs, and the "
                f"checkpoint of step {step} {epochs_done}; put back the whole file, or use another "
                "--workdir"
            )
        lost = self.best.get("step")
        if lost is None or lost in kept:
            return ""
        self._lost = {line["step"] for line in self.lines} - set(kept)
        return f"the checkpoint of the best epoch (step {lost}) is lost; a later one counts"

    def add(self, line: dict[str, Any]) -> bool:
        """Adds an epoch; returns whether it is the best so far."""
        self.lines.append(line)
        if self.writes:
            self.folder.append_metrics(line)
        self.log(line["step"], {name: value for name, value in line.items() if name != "step"})
        return self.best is line

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Writes numbers at a step into the logs alone."""
        if self._logs is not None:
            self._logs.write(step, numbers)

    @property
    def best(self) -> Mapping[str, Any]:
        """The line of the best epoch whose state is not lost; {} without any."""
        kept = (line for line in self.lines if line["step"] not in self._lost)
        return selection.best(kept, self.select_by)

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the best epoch lies `patience` epochs before the last."""
        num_epochs = self.lines[-1]["epoch"] if self.lines else 0
        return selection.out_of_patience(num_epochs, self.best, self.patience)

    def close(self) -> None:
        """Waits until all is written."""
        if self._logs is not None:
            self._logs.close()
