"""The files of a run besides its checkpoints, as they are read; without JAX."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitjax import files
from vitjax.errors import UserError
from vitjax.runs import contents, schema
from vitjax.runs.seal import opened

# A run writes its files in this order, a member of a sweep its checkpoints last but for eval.json.
IN_ORDER = ("config.json", "dataset.json", "checkpoints", "metrics.jsonl", "eval.json")


class RunFiles:
    """The config, the data set, the metrics and the evaluation in a run's folder."""

    def __init__(self, path: Path):
        self.path = path
        self._metrics = path / "metrics.jsonl"

    def check_none_missing(self, *, of_member: bool = False) -> None:
        """Raises UserError if a file is gone that was written before another one."""
        names = [name for name in IN_ORDER if not (of_member and name == "checkpoints")]
        there = [name for name in names if (self.path / name).exists()]
        for name in names[: names.index(there[-1])] if there else ():
            if name not in there:
                raise UserError(
                    f"{self.path} has {there[-1]} and lacks {name}, which was written before; put "
                    "it back, or use another --workdir"
                )

    def begun(self) -> dict[str, Any]:
        """Returns config.json (contents.ConfigFile); it and the next raise UserError for damage."""
        return schema.read(self.path / "config.json", contents.ConfigFile)

    def dataset(self) -> dict[str, Any]:
        """Returns dataset.json (contents.DatasetFile)."""
        file = self.path / "dataset.json"
        return schema.read(file, contents.DatasetFile, contents.misfit_in_dataset)

    def evaluation(self) -> dict[str, Any] | None:
        """Returns eval.json (contents.EvalFile) of a finished run, else None."""
        file = self.path / "eval.json"
        if not file.exists():
            return None
        found = schema.read(file, contents.EvalFile, contents.misfit_in_evaluation)
        if wrong := contents.misfit_with_lines(found, self.metrics()):
            raise UserError(
                f"{file} does not fit metrics.jsonl ({wrong}); put back both as they were, or use "
                "another --workdir"
            )
        return opened(found, file)

    def corruptions(self) -> dict[str, Any] | None:
        """Returns corruptions.json (contents.CorruptionsFile) of the test split, else None."""
        file, evaluated = self.path / "corruptions.json", self.evaluation()
        if evaluated is None or not file.exists():
            return None
        found = schema.read(file, contents.CorruptionsFile, contents.misfit_in_corruptions)
        if found["step"] != evaluated["step"]:
            raise UserError(
                f"{file} is of step {found['step']}, eval.json of step {evaluated['step']}; run "
                f"python -m vitjax.evaluate --corruptions --workdir={self.path} again"
            )
        return opened(found, file)

    def diverged(self) -> str:
        """Returns what diverged.json (contents.DivergedFile) says; "" without one."""
        file = self.path / "diverged.json"
        return schema.read(file, contents.DivergedFile)["where"] if file.exists() else ""

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl (contents.EpochLine), one an epoch, in order.

        A last line that was cut short is left out. Raises UserError for any other damage.
        """
        if not self._metrics.exists():
            return []
        try:
            texts = files.read(self._metrics).split(b"\n")
        except OSError as error:
            raise UserError(f"cannot read {self._metrics}: {error.strerror}") from error
        if not texts[-1].endswith(b"}"):  # nothing, or what a kill left of a line
            texts.pop()
        lines: list[dict[str, Any]] = []
        for number, text in enumerate(texts, start=1):
            try:
                lines.append(schema.parse(text, contents.EpochLine, contents.misfit_in_line))
                _check_place(lines)
            except ValueError as error:
                raise UserError(
                    f"{self._metrics} line {number} is damaged ({error}); put the file back, or "
                    "use another --workdir"
                ) from error
        return lines


def _check_place(lines: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError unless the last line is of the epoch after the one before."""
    first, last, epoch = lines[0], lines[-1], len(lines)
    if last["epoch"] != epoch or last["step"] != epoch * first["step"]:
        raise ValueError(
            f"it is epoch {last['epoch']} at step {last['step']}, expected epoch {epoch} at step "
            f"{epoch * first['step']}"
        )
    if ("valid_loss" in first) != ("valid_loss" in last):
        raise ValueError("it has validation, or lacks it, unlike the lines before")
