"""The files of a run besides its checkpoints: config, data set facts, metrics, evaluation."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

_FREE_KEYS = ("steps_per_call", "data.data_dir", "data.image_root")  # do not change a result


class RunFolder:
    """A folder that a run writes to, can be resumed from, and is read from later."""

    def __init__(self, path: Path):
        self.path = path
        self._metrics = path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    def check_config(self, config: Mapping[str, Any]) -> None:
        """Raises ValueError if the folder holds a run with another config (both as JSON)."""
        if not (self.path / "config.json").exists():
            return
        changes = differences(self.read("config.json")["config"], config)
        if changes:
            raise ValueError(
                f"{self.path} holds a run with another config: {'; '.join(changes)}. "
                "Use another --workdir, or the options it began with"
            )

    def create(self, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Makes the folder and writes config.json with `facts`, unless a run began here before."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / "config.json").exists():
                command = " ".join(["python -m vitjax.main", *sys.argv[1:]])
                self.write("config.json", {"config": config, "command": command, **facts})
        except OSError as error:
            raise ValueError(
                f"cannot write to --workdir={self.path}: {error.strerror}; choose another"
            ) from error

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file whole or not at all."""
        self._replace(self.path / name, json.dumps(value, indent=2) + "\n")

    def evaluation(self) -> dict[str, Any] | None:
        """Returns eval.json of a finished run, else None."""
        return self.read("eval.json") if (self.path / "eval.json").exists() else None

    def metrics(self) -> list[dict[str, Any]]:
        """Returns the lines of metrics.jsonl, one an epoch; a line cut short is left out."""
        if not self._metrics.exists():
            return []
        lines = []
        for line in self._metrics.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break  # a kill while writing can only hit the last line
        return lines

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Adds an epoch's line and waits until it is on disk."""
        with self._metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def truncate_metrics(self, step: int) -> list[dict[str, Any]]:
        """Drops what was logged after `step`, which will be done again; returns the rest."""
        lines = [line for line in self.metrics() if line["step"] <= step]
        if self._metrics.exists():
            self._replace(self._metrics, "".join(json.dumps(line) + "\n" for line in lines))
        return lines

    def read(self, name: str) -> Any:
        """Returns a JSON file of the run; raises ValueError if it is damaged."""
        try:
            return json.loads((self.path / name).read_text())
        except ValueError as error:
            raise ValueError(f"{self.path / name} is not valid JSON: {error}") from error

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_name(path.name + ".tmp")
        partial.write_text(text)
        partial.replace(path)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns the options in which two configs (as JSON) differ, but for those free to change."""
    before, after = flatten(old), flatten(new)
    return [
        f"{key} was {json.dumps(before.get(key))}, is {json.dumps(after.get(key))}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and key not in _FREE_KEYS
    ]


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Returns {"data.batch_size": 128, ...} of a ConfigDict or of nested dicts."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, ConfigDict | dict)
        flat |= flatten(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return flat
