"""Prints what lets a shell complete the commands, their options, configs and their arguments.

vitjax completion bash > ~/.local/share/bash-completion/completions/vitjax
vitjax completion zsh > ~/.zfunc/_vitjax
vitjax completion fish > ~/.config/fish/completions/vitjax.fish

New shells complete then; zsh where .zshrc has, before compinit: fpath+=~/.zfunc. Names of options,
configs and rows are written into the script, so print it again after an update.
"""

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

from vitjax import cli, config_paths
from vitjax.__main__ import COMMANDS
from vitjax.command_help import Option
from vitjax.errors import UserError

_CASE = "    {name})\n      options='{options}'\n      values='{values}' ;;"
SHELLS = {  # how each says what can follow a command
    "bash": _CASE,
    "zsh": _CASE,
    "fish": "    case {name}\n      set options '{options}'\n      set values '{values}'",
}


class _Words(NamedTuple):
    """What can follow a command."""

    options: list[str]  # --json, or --workdir= where a value follows
    values: list[str]  # --format=onnx


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command on its words; returns the exit code."""
    command = cli.Command(__doc__, takes_words=True)

    def main() -> int:
        if len(command.words) != 1 or command.words[0] not in SHELLS:
            given = " ".join(command.words) or "none"
            raise UserError(f"shell {given} given, expected one of {', '.join(SHELLS)}")
        print(script(command.words[0]), end="")
        return 0

    return command.run(main, argv)


def script(shell: str) -> str:
    """Returns what one of SHELLS reads to complete the words behind `vitjax`."""
    words = {name: _words(name, options) for name, options in _options().items()}
    cases = "\n".join(
        SHELLS[shell].format(
            name=name, options=" ".join(each.options), values=" ".join(each.values)
        )
        for name, each in words.items()
    )
    template = Template((Path(__file__).parent / "shells" / f"completion.{shell}").read_text())
    return template.substitute(commands=" ".join(words), cases=cases, keys=" ".join(_keys()))


def _options() -> Mapping[str, list[Option]]:
    """Returns the options of each command."""
    found = {}
    for name, module in COMMANDS.items():
        asked = cli.OptionsAsked()
        importlib.import_module(module).run(asked)
        found[name] = [option for options in asked.options.values() for option in options]
    return found


def _words(command: str, options: Iterable[Option]) -> _Words:
    words, values = ["--help"], list(SHELLS) if command == "completion" else []
    for option in options:
        name = option.name.removesuffix("KEY")
        words.append(
            f"--{name}" if option.name.endswith(".KEY") or not option.kind else f"--{name}="
        )
        choices = _configs() if name == "config" else option.choices
        values += [f"--{name}={choice}" for choice in choices]
    return _Words(words, values)


def _configs() -> list[str]:
    """Returns the configs that come with vitjax, and the published rows among their arguments."""
    from vitjax.published import rows

    names = list(config_paths.shipped())
    published = [row.config.removeprefix("configs/") for row in rows() if row.config]
    arguments = {name.replace(".py:", ":") for name in published if ":" in name}
    return sorted([*names, *(f"{name}:debug" for name in names), *arguments])


def _keys() -> list[str]:
    """Returns --config.KEY= for the options of all models."""
    from vitjax import models
    from vitjax.config import default, flatten

    keys = {key: None for name in models.MODELS for key in flatten(default(name))}
    return [f"--config.{key}=" for key in sorted(keys)]


if __name__ == "__main__":
    sys.exit(run())
