"""How members of a sweep ended: what done.json says of them must be what their folders hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitjax.config import to_json
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.sweeps.plan import Member

_OF_THE_SWEEP = ("status", "segment", "step")
_OF_A_CLOCK = ("seconds", "images_per_second", "data_wait")  # each of several processes has its own


def checked(
    done: Path, outcomes: Mapping[str, dict[str, Any]], member: Member, folder: RunFolder
) -> dict[str, Any]:
    """Returns how a member ended, of the `outcomes` in the file `done`.

    Raises UserError where its folder is another member's, lacks a file, or holds other results.
    """
    if member.name not in outcomes:
        raise _misfit(done, f"lacks how {member.name} ended")
    config, outcome = to_json(member.config), outcomes[member.name]
    folder.check_config(config, config)
    folder.check_none_missing()
    file, held = _measured(folder, outcome)
    for key, value in outcome.items():
        if key not in (*_OF_THE_SWEEP, *_OF_A_CLOCK) and held.get(key) != value:
            found = f"has it {held[key]}" if key in held else "lacks it"
            told = f"outcomes.{member.name}.{key} is {value}, and {folder.path / file} {found}"
            raise _misfit(done, f"does not fit: {told}")
    return outcome


def _measured(folder: RunFolder, outcome: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Returns which file of a member's folder has what was measured, and that."""
    if outcome["status"] == "finished":
        return "eval.json", folder.evaluation() or {}
    epoch = outcome.get("epoch", 0)
    return "metrics.jsonl", next((x for x in folder.metrics() if x["epoch"] == epoch), {})


def _misfit(done: Path, problem: str) -> UserError:
    return UserError(f"{done} {problem}; put both back as they were, or use another --workdir")
