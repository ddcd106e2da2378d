"""The files of a sweep besides those of its members: the plan, what is done, the result."""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitjax import files
from vitjax.config import flatten
from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.runs import contents, schema
from vitjax.runs.changes import differences
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.seal import sealed
from vitjax.sweeps.plan import Member

_WEIGHTS = "groups/weights.json"


class SweepFolder:
    """A folder that a sweep writes to; the first process writes, all read."""

    def __init__(self, path: Path):
        self.path = path
        self._files = RunFolder(path)  # writes whole files, locks

    def run(self, name: str) -> RunFolder:
        """Returns the run folder of the member `name`."""
        return RunFolder(self.path / "runs" / name)

    @contextlib.contextmanager
    def begun(self, plan: Mapping[str, Any]) -> Iterator[None]:
        """Keeps other trainings out, and writes plan.json once.

        Raises UserError if one is in, the folder holds another sweep or a run, or a process sees no
        folder.
        """
        with self._files.shared_lock():
            with processes.agreed():
                if processes.is_first():
                    self._create(plan)
            yield

    def _create(self, plan: Mapping[str, Any]) -> None:
        if (self.path / "config.json").exists():
            raise UserError(f"{self.path} holds a single run; use another --workdir")
        if (self.path / "plan.json").exists():
            self._check(schema.read(self.path / "plan.json", contents.PlanFile), plan)
            self._check_groups()
            return
        if (self.path / "groups").exists():
            raise UserError(
                f"{self.path} has groups and lacks plan.json, which was written before; put it "
                "back, or use another --workdir"
            )
        try:
            self._files.write("plan.json", plan)
        except OSError as error:
            raise UserError(
                f"cannot write to --workdir={self.path}: {error.strerror}; choose another"
            ) from error

    def _check_groups(self) -> None:
        """Raises UserError where members have ended, and what tells so is lost."""
        ended = itertools.chain(self.path.glob("runs/*/eval.json"), self.path.glob("sweep.json"))
        if not (self.path / "groups").exists() and any(ended):
            raise UserError(
                f"{self.path} has members that have ended and lacks groups, which tells of them; "
                "put it back, or use another --workdir"
            )

    def _check(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        new = json.loads(json.dumps(new))  # tuples become lists
        changes = differences(flatten(old["config"]), flatten(new["config"]))
        for key in ("members", "halve"):
            if old[key] != new[key]:
                changes.append(f"its {key} were {_short(old[key])}, are {_short(new[key])}")
        if changes:
            raise UserError(
                f"{self.path} holds another sweep: {'; '.join(changes)}. Use another --workdir, or "
                "the options it began with"
            )

    def check_weights(self, weights: str, digest: str) -> None:
        """Raises UserError if members began with other weights of that name; keeps their digest."""
        file = self.path / _WEIGHTS
        known = schema.read(file, contents.WeightsFile)["sha256"] if file.exists() else {}
        if known.setdefault(weights, digest) != digest:
            raise UserError(
                f"config.finetune.weights={weights} are not those that members of {self.path} "
                "began with; put them back, or use another --workdir, and a run that is finished"
            )
        self.write(_WEIGHTS, {"sha256": known})

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file from the first process; then all go on."""
        with processes.agreed():
            if processes.is_first():
                self._files.write(name, value)

    def write_measured(self, name: str, value: Mapping[str, Any]) -> None:
        """As `write`, with what tells when one of its numbers was changed."""
        self.write(name, sealed(value))

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file from the first process; then all go on."""
        with processes.agreed():
            if processes.is_first():
                files.write(self.path / name, text)

    def parts(self, number: int, members: Collection[str]) -> list[list[str]] | None:
        """Returns how the `members` of a group were split for memory, as names; None: not yet."""
        file = self.path / _parts(number)

        def misfit(content: contents.PartsFile) -> str:
            """Returns what of parts.json does not fit the group."""
            named = [name for part in content["parts"] for name in part]
            same = sorted(named) == sorted(members) and all(content["parts"])
            return "" if same else "parts has not each member of the group once"

        return schema.read(file, contents.PartsFile, misfit)["parts"] if file.exists() else None

    def write_parts(self, number: int, parts: Sequence[Sequence[Member]]) -> None:
        """Records how group `number` was split."""
        if processes.is_first():
            (self.path / _parts(number)).parent.mkdir(parents=True, exist_ok=True)
        self.write(_parts(number), {"parts": [[m.name for m in part] for part in parts]})


class PartFolder:
    """What is kept of members while they train together."""

    def __init__(self, sweep: SweepFolder, group: int, part: int):
        self._sweep = sweep
        self._name = f"groups/{group}/{part}"
        self.path = sweep.path / self._name
        self.done_file = self.path / "done.json"

    def checkpoints(self, segment: int) -> Path:
        """Where the checkpoints of a segment lie."""
        return self.path / str(segment)

    def done(self) -> tuple[int, dict[str, dict[str, Any]]]:
        """Returns how many segments are done, and the outcomes of members that have ended."""
        if not self.done_file.exists():
            return 0, {}
        found = schema.read(self.done_file, contents.DoneFile, contents.misfit_in_done)
        return found["segments"], found["outcomes"]

    def write_done(self, segments: int, outcomes: Mapping[str, Mapping[str, Any]]) -> None:
        """Records what `done` returns."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._sweep.write(f"{self._name}/done.json", {"segments": segments, "outcomes": outcomes})

    def drop_checkpoints(self) -> None:
        """Removes what the members' own folders hold by now."""
        if processes.is_first():
            for folder in self.path.iterdir():
                if folder.is_dir():
                    shutil.rmtree(folder)
        processes.wait_for_all("dropped")


def link_best(workdir: Path, name: str) -> None:
    """Makes `workdir`/best lead to the folder of the member `name`.

    Where no links can be made, as on a mounted Drive, best.txt names that folder.
    """
    target, partial = Path("runs") / name, workdir / "best.tmp"
    try:
        partial.unlink(missing_ok=True)
        os.symlink(target, partial, target_is_directory=True)
        partial.replace(workdir / "best")
    except (OSError, NotImplementedError):
        for link in (partial, workdir / "best"):  # an older one would mislead
            if link.is_symlink():
                link.unlink()
        files.write(workdir / "best.txt", f"{target.as_posix()}\n")


def _parts(number: int) -> str:
    return f"groups/{number}/parts.json"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else text[:200] + "..."
