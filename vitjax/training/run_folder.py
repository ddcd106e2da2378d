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
        old, new = flatten(self._read("config.json")["config"]), flatten(config)
        differences = [
            f"{key} was {json.dumps(old.get(key))}, is {json.dumps(new.get(key))}"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key) and key not in _FREE_KEYS
        ]
        if differences:
            raise ValueError(
                f"{self.path} holds a run with another config: {'; '.join(differences)}. "
                "Use another --workdir, or the options it began with"
            )

    def create(self, config: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """Makes the folder and writes config.json, unless a run began here before."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / "config.json").exists():
                command = " ".join(["python -m vitjax.main", *sys.argv[1:]])
                self.write(
                    "config.json", {"config": config, "versions": versions, "command": command}
                )
        except OSError as error:
            raise ValueError(
                f"cannot write to --workdir={self.path}: {error.strerror}; choose another"
            ) from error

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file whole or not at all."""
        self._replace(self.path / name, json.dumps(value, indent=2) + "\n")

    def evaluation(self) -> dict[str, Any] | None:
        """Returns eval.json of a finished run, else None."""
        return self._read("eval.json") if (self.path / "eval.json").exists() else None

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

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except ValueError as error:
            raise ValueError(f"{self.path / name} is not valid JSON: {error}") from error

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_name(path.name + ".tmp")
        partial.write_text(text)
        partial.replace(path)


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Returns {"data.batch_size": 128, ...} of a ConfigDict or of nested dicts."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, ConfigDict | dict)
        flat |= flatten(value, f"{prefix}{key}.") if nested else {prefix + key: value}
    return flat
