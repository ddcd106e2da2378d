"""A member of a sweep as an ordinary run folder."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vitjax.config import to_json
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.provenance import provenance
from vitjax.runs.run_folder import RunFolder, option_words
from vitjax.sweeps.plan import Member
from vitjax.training.setup import Setup, dataset_json


def begin(folder: RunFolder, member: Member, setup: Setup, words: Sequence[str]) -> None:
    """Writes config.json and dataset.json as the member's own run would have.

    `words` are those of the sweep's command line. Raises UserError if the folder holds another run
    or other data.
    """
    config = to_json(member.config)
    folder.check_config(config, config)
    folder.check_none_missing(of_member=True)
    kept = ("config", "noconfig")
    config_words = [word for name, word in option_words(words) if name.partition(".")[0] in kept]
    options = [f"--config.{key}={value}" for key, value in member.overrides.items()]
    command = shlex.join(["python", "-m", "vitjax.main", *config_words, *options])
    folder.create(config, provenance(setup.mesh), command if words else "")
    folder.check_dataset(dataset_json(setup))


def check_data(folder: RunFolder, setup: Setup) -> None:
    """Raises UserError if a member began on other data, or with another teacher, than are there.

    Members of other groups, which have ended or not begun, would be ranked beside it.
    """
    if (folder.path / "dataset.json").exists():
        folder.check_dataset(dataset_json(setup))


def end(
    folder: RunFolder,
    best_step: int | None,
    best: Any,
    last: Any,
    result: Mapping[str, Any] | None,
) -> None:
    """Writes the checkpoints of the best epoch and of the last step, and eval.json if any.

    `best` and `last` are the member's states, as NumPy; `best_step` is None where no epoch ended.
    What is there already stays.
    """
    checkpoints = Checkpoints(folder.checkpoints, made_with=folder.made_with, alone=True)
    try:
        checkpoints.best_step = best_step
        for step, state in {best_step: best, int(last.step): last}.items():
            if step is not None and step not in checkpoints.steps():
                checkpoints.save(step, state)
    finally:
        checkpoints.close()
    if result is not None:
        folder.write_measured("eval.json", result)
