"""The config that config.json holds."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from ml_collections import ConfigDict

from vitjax.config import default, problems, to_json
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.schema import problem

_KINDS = {tuple: list[float], object: str | list[float]}  # what JSON makes of them


class _Named(TypedDict):
    model_name: str


def read_config(folder: RunFolder) -> ConfigDict:
    """Returns the config of a run; an option that the run did not know yet has its default.

    Raises UserError unless the folder is that of a run, and its options have values that they take.
    """
    if (folder.path / "plan.json").exists():
        raise UserError(f"{folder.path} holds a sweep; give one of its runs, in {folder.path}/runs")
    for name, what in (("", "folder"), ("config.json", "file")):
        if not (folder.path / name).exists():
            raise UserError(f"there is no {what} {folder.path / name}; give the --workdir of a run")
    return to_config(folder.begun()["config"], folder.path / "config.json")


def read_options(folder: RunFolder) -> dict[str, Any]:
    """Returns the config as `read_config` does, as JSON."""
    return to_json(read_config(folder))


def to_config(saved: Mapping[str, Any], file: Path) -> ConfigDict:
    """Undoes config.to_json, for what a file holds; raises UserError as `read_config` does."""
    if wrong := problem(saved, _Named):
        raise _damaged(file, wrong)
    config = default(saved["model_name"])
    if unknown := sorted(_unknown(config, saved)):
        raise UserError(
            f"{file} has options that this vitjax does not know: {', '.join(unknown)}; use the "
            "version it was trained with"
        )
    for wrong in _wrong(config, saved):
        raise _damaged(file, wrong)
    config.update(_with_tuples(saved))
    for wrong in problems(config).values():
        raise _damaged(file, wrong)
    return config.lock()


def _unknown(config: ConfigDict, saved: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yields the options that a config lacks."""
    for key, value in saved.items():
        if key not in config:
            yield f"{before}{key}"
        elif isinstance(config[key], ConfigDict) and isinstance(value, dict):
            yield from _unknown(config[key], value, f"{before}{key}.")


def _wrong(config: ConfigDict, saved: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yields what is wrong with the types of values; None is an option left to a library."""
    for key, value in saved.items():
        name, kind = f"{before}{key}", config.get_type(key)
        if kind is ConfigDict:
            if wrong := problem(value, dict[str, Any], name):
                yield wrong
            else:
                yield from _wrong(config[key], value, f"{name}.")
        elif value is None and config[key] is None:
            continue
        elif wrong := problem(value, _KINDS.get(kind, kind), name):
            yield wrong


def _damaged(file: Path, wrong: str) -> UserError:
    return UserError(f"{file} is damaged ({wrong}); put it back, or use another --workdir")


def _with_tuples(value: Any) -> Any:
    """Undoes what JSON makes of tuples."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(part) for name, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
