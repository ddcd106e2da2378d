"""The files of a run besides its checkpoints: config, data set, metrics, evaluation."""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vitjax import files, processes
from vitjax.config import flatten
from vitjax.errors import UserError
from vitjax.lock import taken
from vitjax.runs.manifest import saved_steps

_SIGHT_SECONDS = 5.0  # in which a shared file system should show what another machine wrote

# Do not change a result; dataset.json tells other data apart.
_FREE_KEYS = (
    "steps_per_call",
    "data.data_dir",
    "data.image_root",
    "data.stream",
    "data.num_workers",
    "data.cache",
    "mesh.data",
    "mesh.fsdp",
    "log.tensorboard",
    "log.wandb",
)


class RunFolder:
    """A folder that a run writes to, can be resumed from, and is read from later."""

    def __init__(self, path: Path):
        """Raises UserError for what can be no folder's name."""
        self.path = path
        self._metrics = path / "metrics.jsonl"
        try:
            path.exists()
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    def has_checkpoints(self) -> bool:
        """Whether a run was saved here before."""
        return bool(saved_steps(self.checkpoints))

    def check_config(self, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Raises UserError if the folder holds a run with another config (all as JSON).

        An option that the run did not know yet had its default then.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"cannot write to --workdir={self.path}: it is a file; choose another")
        if not (self.path / "config.json").exists():
            return
        old = flatten(defaults) | flatten(self.read("config.json", "config")["config"])
        changes = differences(old, flatten(config))
        if changes:
            raise UserError(
                f"{self.path} holds a run with another config: {'; '.join(changes)}. "
                "Use another --workdir, or the options it began with"
            )

    def check_dataset(self, description: Mapping[str, Any]) -> None:
        """Raises UserError if the run began on other data; else writes dataset.json once."""
        if not (self.path / "dataset.json").exists():
            self.write("dataset.json", description)
            return
        found = json.loads(json.dumps(description))  # tuples become lists
        changes = differences(flatten(self.read("dataset.json", "name")), flatten(found))
        if changes:
            raise UserError(
                f"{self.path} holds a run on other data: {'; '.join(changes)[:300]}. Use another "
                "--workdir, or the data it began with"
            )

    def create(
        self, config: Mapping[str, Any], provenance: Mapping[str, Any], command: str = ""
    ) -> None:
        """Makes the folder and writes config.json with `provenance`, unless a run began here.

        `command` is what would begin such a run; "": it began in Python.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / "config.json").exists():
                command = command or "vitjax.train(config, workdir)"
                self.write("config.json", {"config": config, "command": command, **provenance})
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file whole or not at all."""
        files.write(self.path / name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    @contextlib.contextmanager
    def lock(self, token: str = "") -> Iterator[None]:
        """Keeps other processes of this machine out; raises UserError if one is in.

        Who reads `token` in the lock sees the folder of the process that holds it.
        """
        try:
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise self._unwritable(error) from error
        with file:
            if not taken(file):
                raise UserError(f"another process is training in {self.path}")
            if token:
                file.truncate(0)
                file.write(token)
                file.flush()
            yield

    @contextlib.contextmanager
    def shared_lock(self) -> Iterator[None]:
        """As `lock`, taken by the first of the processes that share a run.

        Raises UserError on all of them if one does not see the folder.
        """
        token = processes.of_first(uuid.uuid4().hex)
        with contextlib.ExitStack() as held:
            with processes.agreed():
                if processes.is_first():
                    held.enter_context(self.lock(token))
            with processes.agreed():
                if not processes.is_first() and not self._shows(token):
                    raise UserError(
                        f"--workdir={self.path} is not the folder that process 0 writes; choose "
                        "one on a file system that all processes share"
                    )
            yield

    def _shows(self, token: str) -> bool:
        """Whether the lock holds `token`, or does so soon."""
        until = time.monotonic() + _SIGHT_SECONDS
        while True:
            with contextlib.suppress(OSError):
                if (self.path / ".lock").read_text() == token:
                    return True
            if time.monotonic() > until:
                return False
            time.sleep(0.1)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"cannot write to --workdir={self.path}: {error.strerror}; choose another")

    def evaluation(self) -> dict[str, Any] | None:
        """Returns eval.json of a finished run, else None."""
        exists = (self.path / "eval.json").exists()
        return self.read("eval.json", "accuracy") if exists else None

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl, one an epoch, but for a last line cut short.

        Raises UserError for a damaged line elsewhere.
        """
        if not self._metrics.exists():
            return []
        try:
            texts, lines = self._metrics.read_bytes().splitlines(), []
        except OSError as error:
            raise UserError(f"cannot read {self._metrics}: {error.strerror}") from error
        for number, text in enumerate(texts, start=1):
            try:
                line = dict(json.loads(text))
                lines.append(line | {"step": line["step"], "epoch": line["epoch"]})
            except (KeyError, TypeError, ValueError) as error:
                if number == len(texts):  # a kill while writing can only hit the last line
                    break
                raise UserError(f"{self._metrics} line {number} is damaged; mend it") from error
        return lines

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds an epoch's line and waits until it is on disk."""
        try:
            with self._metrics.open("a") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self._metrics}: {error.strerror}") from error

    def truncate_metrics(self, step: int) -> list[dict[str, Any]]:
        """Drops what was logged after `step`, which will be done again; returns the rest."""
        lines = [line for line in self.metrics() if line["step"] <= step]
        if self._metrics.exists():
            files.write(self._metrics, "".join(json.dumps(line) + "\n" for line in lines))
        return lines

    def read(self, name: str, key: str) -> dict[str, Any]:
        """Returns a JSON file of the run; raises UserError unless it is whole and has `key`."""
        try:
            value = json.loads((self.path / name).read_text())
            value[key]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.path / name} is damaged; put it back, or use another --workdir"
            ) from error
        return value


def option_words(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields each word of a command line after the name of the option that it belongs to."""
    name = ""
    for word in words:
        if word.startswith("-"):
            name = word.lstrip("-").partition("=")[0]
        yield name, word


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns where two flattened configs (as JSON) differ, but for options free to change."""
    return [
        f"{key} was {json.dumps(old.get(key))}, is {json.dumps(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in _FREE_KEYS
    ]
