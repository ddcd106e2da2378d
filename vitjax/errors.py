"""Errors that a user can mend; anything else that is raised is a fault of vitjax."""

import signal
from collections.abc import Sequence
from pathlib import Path


class UserError(ValueError):
    """What was given does not fit: says in one line what was expected, and what to change."""

    everywhere = False  # whether all processes of a run raise it at once


def raise_all(problems: Sequence[str]) -> None:
    """Raises one UserError that tells all problems; none where there are none."""
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        listed = "; ".join(f"({i}) {text}" for i, text in enumerate(problems, start=1))
        raise UserError(f"{len(problems)} problems: {listed}")


class Diverged(UserError, FloatingPointError):
    """Training met numbers that are not finite."""

    everywhere = True


class Interrupted(Exception):
    """A run was asked to stop by a signal, and has saved its state."""

    everywhere = True

    def __init__(self, signal_number: int, step: int, workdir: Path):
        name = signal.Signals(signal_number).name
        super().__init__(
            f"{name}: saved at step {step}; go on with the same options and --workdir={workdir}"
        )
        self.signal_number = signal_number
