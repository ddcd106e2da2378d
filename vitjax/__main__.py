"""All commands under one name: vitjax COMMAND, or python -m vitjax COMMAND.

`vitjax train --workdir=W` is `python -m vitjax.main --workdir=W`; the others are called as their
modules are. Without a command, all are listed.
"""

import importlib
import sys

from vitjax.machine import terminal

COMMANDS = {  # in the order in which they are listed: their modules
    "train": "vitjax.main",
    "check": "vitjax.check",
    "sweep": "vitjax.sweep",
    "evaluate": "vitjax.evaluate",
    "predict": "vitjax.predict",
    "runs": "vitjax.runs.__main__",
    "compare": "vitjax.compare",
    "report": "vitjax.report",
    "export": "vitjax.export",
    "demo": "vitjax.demo",
    "pretrained": "vitjax.pretrained.__main__",
    "published": "vitjax.published.__main__",
    "benchmark": "vitjax.benchmark",
    "completion": "vitjax.completion",
}


def main() -> int:
    """Runs the command that this process's words begin with; returns its exit code."""
    name, words = next(iter(sys.argv[1:]), "--help"), sys.argv[2:]
    if name in ("--help", "-h", "help"):
        return _print(overview())
    if name == "--version":
        return _print(importlib.import_module("vitjax").__version__)
    if name not in COMMANDS:
        print(
            f"error: there is no command {name!r}; choose from {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    sys.argv = [f"vitjax {name}", *words]
    return importlib.import_module(COMMANDS[name]).run()


def _print(text: str) -> int:
    """Prints a text; returns the exit code."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head` has read enough
        terminal.drop_output()
        return 141
    return 0


def overview() -> str:
    """Returns all commands with what they do, a line each."""
    lines = ["vitjax COMMAND [OPTIONS], vitjax COMMAND --help", ""]
    for name, module in COMMANDS.items():
        document = importlib.import_module(module).__doc__ or ""
        lines.append(f"  {name:<12}{document.splitlines()[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
