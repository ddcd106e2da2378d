"""A sweep: a grid of runs, those that can train together in one program, from plan to result."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vitjax.config import default, to_json
from vitjax.data import duplicates
from vitjax.data.dataset import Dataset
from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.machine.signals import SignalWatch
from vitjax.runs import selection
from vitjax.runs.logs import check_installed
from vitjax.runs.provenance import provenance
from vitjax.sweeps import member_folder, segment
from vitjax.sweeps.group import Group, memory_for_members, split_for_memory
from vitjax.sweeps.outcomes import checked
from vitjax.sweeps.plan import Member, groups, members
from vitjax.sweeps.ranking import as_csv, over_seeds
from vitjax.sweeps.segment import Context, Part, named
from vitjax.sweeps.sweep_folder import PartFolder, SweepFolder, link_best
from vitjax.training import setup
from vitjax.training.ahead.memory import gib
from vitjax.training.placement.sharding import member_mesh
from vitjax.training.progress import Say

_STATUS = ("finished", "dropped", "diverged")  # how a member ends, the best first


def train_grid(
    config: ConfigDict,
    overrides: Iterable[Mapping[str, Any]],
    workdir: str | Path,
    *,
    halve: Sequence[int] = (),
    max_bytes: int = 0,
    vectorize: bool | None = None,
    words: Sequence[str] = (),
    published: Callable[[ConfigDict], float | None] = lambda config: None,
    say: Say = print,
) -> list[dict[str, Any]]:
    """Trains a member for each of the `overrides` of `config`, from where `workdir` left off.

    Returns the members, best first, as sweep.json holds them. After each epoch in `halve` the worse
    half of those still training, by validation, is dropped. `max_bytes` is what members may take of
    a device's memory; 0: what it has. `vectorize` trains the members of a device at once; None: as
    is faster, not on a CPU. `words` are those of the command line, to be kept in the folders;
    `published` returns the accuracy on test that is published for a member's config. With several
    processes all call this, and share the file system of `workdir`. Raises UserError for what does
    not fit, and Interrupted after SIGTERM or Ctrl-C, with the state saved.
    """
    found = members(config, overrides)
    _check_halve(halve, found)
    _check_ranking(found)
    asked = {
        "config": to_json(config),
        "members": {member.name: member.overrides for member in found},
        "halve": list(halve),
    }
    given = json.dumps([asked, max_bytes])
    processes.check_same("config, grid, --halve or --memory_gib", given)
    say = say if processes.is_first() else lambda text: None
    sweep = _Sweep(found, Path(workdir), max_bytes, vectorize, words, say)
    with processes.agreed():
        sweep.check()
    plan = {**asked, "command": _command(words), **provenance(sweep.context.mesh)}
    signals = SignalWatch(say)
    with sweep.context.folder.begun(plan):
        for number, until in enumerate([*halve, None]):
            sweep.train(number, until, signals)
            if until is not None:
                sweep.halve(number, until)
        return sweep.rank(published)


def _command(words: Sequence[str]) -> str:
    """Returns what began a sweep, of a command line or without one in Python."""
    if not words:
        return "vitjax.train_grid(config, grid, workdir)"
    return shlex.join(["python", "-m", "vitjax.sweep", *words])


def _check_halve(halve: Any, members: Sequence[Member]) -> None:
    if not isinstance(halve, Sequence) or not all(isinstance(epoch, int) for epoch in halve):
        raise UserError(f"halve={halve!r} should be a list of epochs, as [2, 4]")
    last = max(member.config.num_epochs for member in members)
    if list(halve) != sorted(set(halve)) or not all(0 < epoch < last for epoch in halve):
        raise UserError(
            f"--halve={','.join(map(str, halve))} should be rising epochs from 1 to {last - 1}"
        )


def _check_ranking(members: Sequence[Member]) -> None:
    """Raises UserError unless validation measures the same of all members."""
    ways = {member.config.select_by for member in members}
    if len(ways) > 1:
        raise UserError("the members of a sweep need one config.select_by, to be ranked by")
    for option in members[0].config.loss if ways == {"loss"} else ():
        values = {str(member.config.loss[option]): None for member in members}
        if len(values) > 1:
            raise UserError(
                f"config.select_by=loss cannot rank losses of unlike config.loss.{option} "
                f"({', '.join(values)}); set config.select_by=accuracy"
            )


def _check_mesh(config: ConfigDict) -> None:
    if config.mesh != default().mesh:
        raise UserError(
            f"config.mesh.data={config.mesh.data} and config.mesh.fsdp={config.mesh.fsdp} are for "
            "one run; a sweep splits its members over the devices: leave both out"
        )


class _Sweep:
    """A sweep in progress."""

    def __init__(
        self,
        members: Sequence[Member],
        workdir: Path,
        max_bytes: int,
        vectorize: bool | None,
        words: Sequence[str],
        say: Say,
    ):
        self._members, self._groups = members, groups(members)
        largest = None if jax.process_count() > 1 else max(map(len, self._groups))
        mesh = member_mesh(jax.devices()[:largest])
        folder = SweepFolder(workdir)
        self.context = Context(folder, mesh, vectorize, words, self._read_data, say)
        self._max_bytes = max_bytes or memory_for_members(mesh)
        self._split: dict[int, list[Part]] = {}
        self._compiled: dict[tuple[str, ...], Group] = {}  # by the names of its members
        self._data: tuple[dict[str, Any], Dataset] | None = None  # read last, and by which options

    def _read_data(self, config: ConfigDict) -> Dataset:
        """Reads the data of a member, unless the one before had the same."""
        options = setup.load_options(config)
        if self._data is None or self._data[0] != options:
            self._data = options, setup.load(config, self.context.say)
            for text in duplicates.warnings(self._data[1]):
                self.context.say(f"warning   {text}")
        return self._data[1]

    def check(self) -> None:
        """Raises UserError for what does not fit, before anything is compiled or written."""
        mesh = self.context.mesh
        for group in self._groups:
            for member in group:
                with named(member):
                    check_installed(**member.config.log)
                    _check_mesh(member.config)
                    setup.check_options(member.config, mesh)
            dataset = self._read_data(group[0].config)
            with named(group[0]):
                of_group = setup.assemble(group[0].config, dataset, mesh)
                if "valid" not in dataset.splits:
                    raise UserError(
                        "a sweep ranks by validation, and there is no validation split; raise "
                        "config.data.valid_fraction"
                    )
            for member in group:
                with named(member):
                    setup.check_data(member.config, dataset)
                    mean, std = of_group.recipe.mean, of_group.recipe.std
                    setup.make_recipe(member.config, dataset, mean, std, of_group.schedule)
                    member_folder.check_data(self.context.folder.run(member.name), of_group)
        self.context.say(
            f"sweep     {len(self._members)} members in {len(self._groups)} groups, "
            f"{mesh.size} x {mesh.devices.flat[0].device_kind}"
        )

    def train(self, number: int, until: int | None, signals: SignalWatch) -> None:
        """Trains every part in a segment, up to epoch `until`; None: to the end."""
        for part in self._all_parts():
            segments, _ = part.folder.done()
            left = part.members_left()
            if segments <= number and left:
                names = tuple(member.name for member in left)
                group = self._compiled.pop(names, None) or self.context.group(left)
                self._check_memory(group)
                segment.train(self.context, part, number, until, signals, group)

    def _check_memory(self, group: Group) -> None:
        """Raises UserError where members that have begun together no longer fit together."""
        if group.predicted_bytes > self._max_bytes:
            raise UserError(
                f"the {len(group.members)} members that train together since this sweep began "
                f"need {gib(group.predicted_bytes)} GiB of a device, of which "
                f"{gib(self._max_bytes)} are to be had; end other programs, raise --memory_gib, "
                "or use another --workdir"
            )

    def _all_parts(self) -> Iterable[Part]:
        for number in range(len(self._groups)):
            yield from self._parts(number)

    def _parts(self, number: int) -> list[Part]:
        """Returns the parts of a group: one, or more where memory is short."""
        if number not in self._split:
            everyone = {member.name: member for member in self._groups[number]}
            names = self.context.folder.parts(number, everyone) or self._split_for_memory(number)
            self._split[number] = [
                Part(PartFolder(self.context.folder, number, i), [everyone[n] for n in part])
                for i, part in enumerate(names)
            ]
        return self._split[number]

    def _split_for_memory(self, number: int) -> list[list[str]]:
        """Splits a group for the first time; returns the names of each part's members."""
        context, group = self.context, self._groups[number]
        dataset = self._read_data(group[0].config)
        limit, vectorize = self._max_bytes, context.vectorize
        split = split_for_memory(group, dataset, context.mesh, limit, vectorize)
        context.folder.write_parts(number, [part.members for part in split])
        names = [[member.name for member in part.members] for part in split]
        self._compiled = {tuple(n): part for n, part in zip(names, split, strict=True)}
        if len(names) > 1:
            context.say(f"group {number + 1} is split in {len(names)} for memory")
        return names

    def halve(self, number: int, epoch: int) -> None:
        """Drops the worse half of the members still training after `epoch`, by validation."""
        scored: dict[str, tuple[float, float]] = {}
        for part in self._all_parts():
            _, outcomes = part.folder.done()
            for member in part.members:
                end = outcomes.get(member.name)
                if _trained_on(end, number):
                    with named(member):
                        scored[member.name] = self._score_after(member, epoch)
        ranked = sorted(scored, key=scored.__getitem__, reverse=True)
        dropped = ranked[-(-len(ranked) // 2) :]
        if dropped:
            self.context.say(f"halving   after epoch {epoch}, dropped: {', '.join(dropped)}")
        for part in self._all_parts():
            segment.drop(self.context, part, number, dropped)

    def _score_after(self, member: Member, epoch: int) -> tuple[float, float]:
        folder = self.context.folder.run(member.name)
        folder.check_none_missing(of_member=True)
        lines = folder.metrics()
        if len(lines) < epoch:
            raise UserError(
                f"{folder.path / 'metrics.jsonl'} has {len(lines)} epochs, expected {epoch} or "
                "more; put it back, or use another --workdir"
            )
        select_by = member.config.select_by
        best = selection.best((e for e in lines if e["epoch"] <= epoch), select_by)
        return selection.score(best, select_by)

    def rank(self, published: Callable[[ConfigDict], float | None]) -> list[dict[str, Any]]:
        """Writes the results and the link to the best; returns the members, best first."""
        ended: list[dict[str, Any]] = []
        for part in self._all_parts():
            _, outcomes = part.folder.done()
            for member in part.members:
                head: dict[str, Any] = {"name": member.name, "overrides": dict(member.overrides)}
                head["published"] = published(member.config)
                run = self.context.folder.run(member.name)
                with named(member):
                    outcome = checked(part.folder.done_file, outcomes, member, run)
                ended.append(head | outcome)
        select_by = self._members[0].config.select_by
        ranked = sorted(ended, key=lambda entry: _place(entry, select_by), reverse=True)
        folder = self.context.folder
        seeds = over_seeds(ranked, select_by)
        told = {"select_by": select_by, "members": ranked, "over_seeds": seeds}
        folder.write_measured("sweep.json", told)
        folder.write_text("sweep.csv", as_csv(ranked))
        if processes.is_first() and ranked[0]["status"] == "finished":
            link_best(folder.path, ranked[0]["name"])
        for part in self._all_parts():
            part.folder.drop_checkpoints()
        return ranked


def _trained_on(end: Mapping[str, Any] | None, number: int) -> bool:
    """Whether a member that came to this `end` had not ended by itself in segment `number`."""
    if end is None or end["segment"] > number:
        return True
    return end["segment"] == number and end["status"] == "dropped"


def _place(entry: Mapping[str, Any], select_by: str) -> tuple[float, ...]:
    """Orders members: by how they ended, then by validation; higher is better."""
    measured = "valid_loss" in entry
    score = selection.score(entry, select_by) if measured else (-float("inf"),) * 2
    return -_STATUS.index(entry["status"]), *score
