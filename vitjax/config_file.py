"""From FILE[:ARG] and overrides to a config: the files in configs/, and those of users."""

import difflib
import importlib.util
import os
import traceback
import types
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vitjax import config_paths
from vitjax.config import debug
from vitjax.errors import UserError


def load_config(name: str) -> ConfigDict:
    """Returns `get_config(ARG)` of FILE[:ARG]; ARG may be, or end with, `debug`.

    FILE is looked for from here, then among the configs that come with vitjax, where vit_digits
    stands for configs/vit_digits.py. Raises UserError for what is no config.
    """
    file, argument = split_argument(name)
    module = _run_file(config_paths.find(file))
    if not hasattr(module, "get_config"):
        raise UserError(f"--config={file} defines no get_config(arg)")
    words = argument.split(",") if argument else []
    try:
        config = module.get_config(",".join(word for word in words if word != "debug"))
    except ValueError as error:  # the config's own words
        near = difflib.get_close_matches("debug", words, n=1, cutoff=0.7)
        hint = f"; did you mean debug, not {near[0]!r}?" if near else ""
        raise UserError(f"{error}{hint}") from error
    except Exception as error:  # an unknown option, or whatever a user's file may raise
        raise UserError(f"--config={file} fails: {_where(error, file)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"get_config of --config={file} returned {type(config).__name__}, expected a ConfigDict"
        )
    if "debug" in words:
        debug(config)
    return config


def split_argument(name: str) -> tuple[str, str]:
    """Returns FILE and ARG of FILE[:ARG], whose FILE may begin with a drive."""
    drive, rest = os.path.splitdrive(name)
    file, _, argument = rest.partition(":")
    return drive + file, argument


def load_sweep(file: str, name: str) -> list[dict[str, Any]]:
    """Returns what `sweep(name)` of a config file yields, `sweep()` for ""."""
    module = _run_file(config_paths.find(file))
    if not hasattr(module, "sweep"):
        raise UserError(f'--config={file} defines no sweep(); give --grid="KEY=VALUE,VALUE;..."')
    try:
        return [dict(overrides) for overrides in (module.sweep(name) if name else module.sweep())]
    except ValueError as error:  # the config's own words
        raise UserError(str(error)) from error
    except Exception as error:  # whatever a user's file may raise
        raise UserError(f"sweep() of --config={file} fails: {_where(error, file)}") from error


def _run_file(path: Path) -> types.ModuleType:
    """Returns the module of a Python file; raises UserError with the line that fails."""
    spec = importlib.util.spec_from_file_location("vitjax_config", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        raise UserError(f"--config={path} fails: {_where(error, path.name)}") from error
    return module


def _where(error: Exception, file: str) -> str:
    """Returns an error's text, with the line of the config file that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == Path(file).name]
    number = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{type(error).__name__}: {error}" + (f" (line {number})" if number else "")
