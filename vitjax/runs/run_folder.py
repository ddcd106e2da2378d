"""A run's folder as it is written: one lock, whole files, and what must fit to go on."""

import contextlib
import hashlib
import json
import math
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitjax import files
from vitjax.config import flatten
from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.machine.lock import taken
from vitjax.runs import manifest
from vitjax.runs.changes import differences
from vitjax.runs.run_files import RunFiles
from vitjax.runs.seal import sealed

_SIGHT_SECONDS = 5.0  # in which a shared file system should show what another machine wrote


class RunFolder(RunFiles):
    """A folder that a run writes to, can be resumed from, and is read from later."""

    def __init__(self, path: Path):
        """Raises UserError for what can be no folder's name."""
        super().__init__(path)
        try:
            path.exists()
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    def made_with(self, step: int) -> dict[str, Any]:
        """Returns what the files say of the state at `step`, to be kept in its manifest."""
        return {
            "config.json": self.begun()["config"],
            "dataset.json": self.dataset(),
            "metrics.jsonl": self.digest_of_metrics(step),
        }

    def digest_of_metrics(self, step: int) -> dict[str, Any]:
        """Returns what tells the lines of metrics.jsonl up to a step from any others."""
        lines = [json.dumps(line) for line in self.metrics() if line["step"] <= step]
        sha256 = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return {"epochs": len(lines), "sha256": sha256}

    def evaluated_checkpoint(self) -> str:
        """Returns what tells the checkpoint that was evaluated from any other; "": there is none.

        That of a run which is not finished was not evaluated.
        """
        evaluation = self.evaluation()
        return manifest.digest(self.checkpoints / str(evaluation["step"])) if evaluation else ""

    def check_fits(self, step: int) -> None:
        """Raises UserError unless the checkpoint of `step` was made with the folder's files."""
        manifest.check(self.checkpoints / str(step), self.made_with(step))

    def check_config(self, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Raises UserError if the folder holds a run with another config (all as JSON).

        An option that the run did not know yet had its default then.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UserError(f"cannot write to --workdir={self.path}: it is a file; choose another")
        if (self.path / "plan.json").exists():
            raise UserError(f"{self.path} holds a sweep; use another --workdir")
        if not (self.path / "config.json").exists():
            return
        old = flatten(defaults) | flatten(self.begun()["config"])
        changes = differences(old, flatten(config))
        if changes:
            raise UserError(
                f"{self.path} holds a run with another config: {'; '.join(changes)}. "
                "Use another --workdir, or the options it began with"
            )

    def check_dataset(self, description: Mapping[str, Any]) -> None:
        """Raises UserError if the run began on other data; else writes dataset.json once.

        A run of before did not tell its labels or pixels, which may then be any.
        """
        if not (self.path / "dataset.json").exists():
            self.write("dataset.json", description)
            return
        found = json.loads(json.dumps(description))  # tuples become lists
        begun = {name: found.get(name) for name in ("labels", "pixels")} | self.dataset()
        for name in ("mean", "std"):
            if _differ_by_rounding(begun[name], found[name]):
                found[name] = begun[name]
        changes = differences(flatten(begun), flatten(found))
        if changes:
            raise UserError(
                f"{self.path} holds a run on other data: {'; '.join(changes)[:300]}. Use another "
                "--workdir, or the data, and the teacher, it began with"
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

    def write_measured(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a JSON file that tells when one of its numbers was changed."""
        self.write(name, sealed(value))

    @contextlib.contextmanager
    def lock(self, token: str = "") -> Iterator[None]:
        """Makes the folder and keeps other processes of this machine out; UserError if one is in.

        Who reads `token` in the lock sees the folder of the process that holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise self._unwritable(error) from error
        with file:
            for seconds in (0.1, 0.0):  # lock.is_held takes it for a moment
                if taken(file):
                    break
                time.sleep(seconds)
            else:
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


def option_words(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields each word of a command line after the name of the option that it belongs to."""
    name = ""
    for word in words:
        if word.startswith("-"):
            name = word.lstrip("-").partition("=")[0]
        yield name, word


def _differ_by_rounding(old: Sequence[float], new: Sequence[float]) -> bool:
    """Whether numbers are the same but for their last bits, which depended on the kind of CPU."""
    pairs = zip(old, new, strict=False)
    return len(old) == len(new) and all(math.isclose(*pair, rel_tol=1e-9) for pair in pairs)
