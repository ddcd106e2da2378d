"""The config that config.json holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from ml_collections import ConfigDict

from vitjax.config import default, flatten, problems, to_json
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
    for name, what in (("", "folder"), ("config.json", "file"), ("dataset.json", "file")):
        if not (folder.path / name).exists():
            raise UserError(f"there is no {what} {folder.path / name}; give the --workdir of a run")
    return _to_config(folder.begun()["config"], folder.path / "config.json")


def read_options(folder: RunFolder) -> dict[str, Any]:
    """Returns the config as `read_config` does, as JSON."""
    return to_json(read_config(folder))


def _to_config(saved: Mapping[str, Any], file: Path) -> ConfigDict:
    """Undoes config.to_json."""
    if wrong := problem(saved, _Named):
        raise _damaged(file, wrong)
    config, flat = default(saved["model_name"]), flatten(saved)
    if unknown := sorted(set(flat) - set(flatten(config))):
        raise UserError(
            f"{file} has options that this vitjax does not know: {', '.join(unknown)}; use the "
            "version it was trained with"
        )
    for key, value in flat.items():
        if wrong := _wrong_kind(config, key, value):
            raise _damaged(file, wrong)
    config.update(_with_tuples(saved))
    for wrong in problems(config).values():
        raise _damaged(file, wrong)
    return config.lock()


def _wrong_kind(config: ConfigDict, key: str, value: Any) -> str:
    """Returns what is wrong with the type of an option's value; "" if nothing is."""
    *groups, name = key.split(".")
    for group in groups:
        config = config[group]
    kind = config.get_type(name)
    if value is None and config[name] is None:  # the library's default
        return ""
    return problem(value, _KINDS.get(kind, kind), key)


def _damaged(file: Path, wrong: str) -> UserError:
    return UserError(f"{file} is damaged ({wrong}); put it back, or use another --workdir")


def _with_tuples(value: Any) -> Any:
    """Undoes what JSON makes of tuples."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(part) for name, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
