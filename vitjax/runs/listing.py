"""Which runs and sweeps lie in a folder, and how far each has come; without JAX, so at once."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from vitjax.errors import UserError
from vitjax.machine.lock import is_held
from vitjax.runs import contents, schema, selection
from vitjax.runs.run_files import IN_ORDER, RunFiles
from vitjax.runs.seal import opened

Kind = Literal["run", "sweep", "member"]
State = Literal["running", "interrupted", "finished", "dropped", "diverged", "damaged"]

_OF_RUNS = {*IN_ORDER, ".lock"}  # any two of which make a folder that of a run
_DATED = ("config.json", "plan.json", "metrics.jsonl", "eval.json", "sweep.json")


class Entry(NamedTuple):
    """A run, a sweep or a member of one; None and "" are what is not known of it, or not yet."""

    path: Path
    kind: Kind
    changed: float  # seconds since 1970: when training wrote last
    state: State = "interrupted"
    problem: str = ""  # why it is damaged
    model: str = ""
    data: str = ""
    done: int | None = None  # epochs, or of a sweep members that have ended
    of: int | None = None  # as many there shall be
    valid_accuracy: float | None = None  # of the best epoch, or of a sweep's best member
    test_accuracy: float | None = None


class _DataOptions(TypedDict):
    name: str


class _Options(TypedDict):
    """What is told of a config."""

    model_name: str
    num_epochs: schema.Number
    select_by: NotRequired[str]
    data: _DataOptions


def entries(folder: Path) -> list[Entry]:
    """Returns what lies in a folder at any depth, newest first; a sweep's members stand behind it.

    What cannot be read is an entry that says so. Checkpoints are not opened. Raises UserError where
    there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give one in which runs lie")
    found = sorted(_within(folder), key=lambda group: group[0].changed, reverse=True)
    return [entry for group in found for entry in group]


def _within(folder: Path) -> Iterator[list[Entry]]:
    """Yields each run as a list of one, and each sweep with its members."""
    try:
        files = {file.name: file for file in os.scandir(folder)}
    except OSError as error:
        yield [_damaged(Entry(folder, "run", 0.0), f"cannot read {folder}: {error.strerror}")]
        return
    if "plan.json" in files:
        yield _sweep(folder)
    elif len(_OF_RUNS & {*files}) > 1:
        yield [_run(folder)]
    else:
        for name, file in sorted(files.items()):
            if not name.startswith(".") and file.is_dir(follow_symlinks=False):
                yield from _within(folder / name)


def _sweep(folder: Path) -> list[Entry]:
    """Returns a sweep and the members that have begun, in the order of its plan."""
    entry = Entry(folder, "sweep", _changed(folder))
    try:
        plan = schema.read(folder / "plan.json", contents.PlanFile)
        entry = _described(entry, plan["config"])
        outcomes = _outcomes(folder)
        entry = entry._replace(done=len(outcomes), of=len(plan["members"]))
        best = _best_member(folder)
    except (UserError, OSError) as error:
        runs = folder / "runs"
        members = [each for group in _within(runs) for each in group] if runs.is_dir() else []
        return [_damaged(entry, str(error)), *members]
    state: State = "interrupted" if best is None else "finished"
    entry = entry._replace(
        state="running" if is_held(folder / ".lock") else state,
        valid_accuracy=(best or {}).get("valid_accuracy"),
        test_accuracy=(best or {}).get("accuracy"),
    )
    paths = {name: folder / "runs" / name for name in plan["members"]}
    members = [
        _run(path, "member", outcomes.get(name)) for name, path in paths.items() if path.is_dir()
    ]
    changed = max([entry.changed, *(member.changed for member in members)])
    return [entry._replace(changed=changed), *members]


def _outcomes(sweep: Path) -> dict[str, contents.Status]:
    """Returns how the members of a sweep have ended that have."""
    files = [
        schema.read(file, contents.DoneFile, contents.misfit_in_done)
        for file in sorted(sweep.glob("groups/*/*/done.json"))
    ]
    return {name: end["status"] for file in files for name, end in file["outcomes"].items()}


def _best_member(sweep: Path) -> Mapping[str, Any] | None:
    """Returns what sweep.json says of the best member; None before it is written."""
    file = sweep / "sweep.json"
    if not file.exists():
        return None
    found = opened(schema.read(file, contents.SweepFile, contents.misfit_in_sweep), file)
    return found["members"][0] if found["members"] else {}


def _run(folder: Path, kind: Kind = "run", ended: contents.Status | None = None) -> Entry:
    """Returns a run, or a member of a sweep and how it has ended there, if it has."""
    files, entry = RunFiles(folder), Entry(folder, kind, _changed(folder))
    is_running = is_held(folder / ".lock")
    try:
        # Members that are still in training have no checkpoints of their own.
        files.check_none_missing(of_member=kind == "member" and ended is None)
        options = files.begun()["config"]
        entry = _described(entry, options)
        if (folder / "dataset.json").exists():
            files.dataset()
        lines, evaluation = files.metrics(), files.evaluation()
        left: State = "diverged" if files.diverged() else "interrupted"
    except (UserError, OSError) as error:
        return _damaged(entry, str(error))
    best = evaluation or selection.best(lines, options.get("select_by", "accuracy"))
    return entry._replace(
        state="finished" if evaluation else ended or ("running" if is_running else left),
        done=len(lines),
        of=options["num_epochs"],
        valid_accuracy=best.get("valid_accuracy"),
        test_accuracy=(evaluation or {}).get("accuracy"),
    )


def _described(entry: Entry, options: Mapping[str, Any]) -> Entry:
    """Returns an entry with what its config says; raises UserError for a damaged one."""
    if wrong := schema.problem(options, _Options, "config"):
        raise UserError(f"the config of {entry.path} is damaged ({wrong}); put it back")
    return entry._replace(model=options["model_name"], data=options["data"]["name"])


def _damaged(entry: Entry, problem: str) -> Entry:
    return entry._replace(state="damaged", problem=problem)


def _changed(folder: Path) -> float:
    """Returns when a file of a run or a sweep was written last; 0 without any."""
    times = [0.0]
    for name in _DATED:
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:  # not written yet, or not to be read
            continue
    return max(times)
