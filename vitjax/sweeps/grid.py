"""A sweep: a grid of runs, those that can train together in one program, from plan to result."""

import contextlib
import functools
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from vitjax.config import to_json
from vitjax.data.dataset import Dataset
from vitjax.errors import UserError
from vitjax.runs import selection
from vitjax.runs.checkpoints import Checkpoints
from vitjax.sweeps import member_folder
from vitjax.sweeps.group import Group, memory_for_members, split_for_memory
from vitjax.sweeps.group_run import GroupRun, Progress, abstract_progress, fresh, survivors
from vitjax.sweeps.plan import Member, groups, members
from vitjax.sweeps.ranking import as_csv, over_seeds
from vitjax.sweeps.sweep_folder import PartFolder, SweepFolder, link_best
from vitjax.training import setup
from vitjax.training.initial import LoadWeights
from vitjax.training.interrupt import SignalWatch
from vitjax.training.progress import Say
from vitjax.training.results import hardware, versions
from vitjax.training.sharding import make_mesh

_STATUS = ("finished", "dropped", "diverged")  # how a member ends, the best first


class _Part(NamedTuple):
    """Members that train together."""

    folder: PartFolder
    members: list[Member]


def run_sweep(
    config: ConfigDict,
    overrides: Iterable[Mapping[str, Any]],
    workdir: str | Path,
    *,
    halve: Sequence[int] = (),
    max_bytes: int = 0,
    words: Sequence[str] = (),
    load_weights: LoadWeights | None = None,
    published: Callable[[ConfigDict], float | None] = lambda config: None,
    say: Say = print,
) -> list[dict[str, Any]]:
    """Trains a member for each of the `overrides` of `config`, from where `workdir` left off.

    Returns the members, best first, as sweep.json holds them. After each epoch in `halve` the worse
    half of those still training, by validation, is dropped. `max_bytes` is what members may take of
    a device's memory; 0: what it has. `words` are those of the command line, to be kept in the
    folders; `published` returns the accuracy on test that is published for a member's config. With
    several processes all call this, and share the file system of `workdir`. Raises UserError for
    what does not fit, and Interrupted after SIGTERM or Ctrl-C, with the state saved.
    """
    found = members(config, overrides)
    _check_halve(halve, found)
    say = say if jax.process_index() == 0 else lambda text: None
    sweep = _Sweep(found, Path(workdir), max_bytes, words, load_weights, say)
    sweep.check()
    plan = {
        "config": to_json(config),
        "command": shlex.join(["python", "-m", "vitjax.sweep", *words]),
        "members": {member.name: member.overrides for member in found},
        "halve": list(halve),
        "versions": versions(),
        "hardware": hardware(sweep.mesh),
    }
    sweep.folder.create(plan)
    with sweep.folder.lock(), SignalWatch(say) as signals:
        for segment, until in enumerate([*halve, None]):
            sweep.train(segment, until, signals)
            if until is not None:
                sweep.halve(segment, until)
        return sweep.rank(published)


def _check_halve(halve: Sequence[int], members: Sequence[Member]) -> None:
    last = max(member.config.num_epochs for member in members)
    if list(halve) != sorted(set(halve)) or not all(0 < epoch < last for epoch in halve):
        raise UserError(
            f"--halve={','.join(map(str, halve))} should be rising epochs from 1 to {last - 1}"
        )
    if len({member.config.select_by for member in members}) > 1:
        raise UserError("the members of a sweep need one config.select_by, to be ranked by")


class _Sweep:
    """A sweep in progress."""

    def __init__(
        self,
        members: Sequence[Member],
        workdir: Path,
        max_bytes: int,
        words: Sequence[str],
        load_weights: LoadWeights | None,
        say: Say,
    ):
        self._members, self._words, self._load_weights = members, words, load_weights
        self._say = say
        self.folder, self._groups = SweepFolder(workdir), groups(members)
        largest = None if jax.process_count() > 1 else max(map(len, self._groups))
        self.mesh = make_mesh(jax.devices()[:largest], axis="member")
        self._max_bytes = max_bytes or memory_for_members(self.mesh)
        self._split: dict[int, list[_Part]] = {}
        self._compiled: dict[tuple[str, ...], Group] = {}  # by the names of its members

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def _load(self, key: str) -> Dataset:
        (config,) = (m.config for m in self._members if m.name == key)
        return setup.load(config, self._say)

    def _dataset(self, config: ConfigDict) -> Dataset:
        """Reads the data of a member, unless the one before had the same."""
        options = setup.load_options(config)
        same = (m for m in self._members if setup.load_options(m.config) == options)
        return self._load(next(same).name)

    def check(self) -> None:
        """Raises UserError for what does not fit, before anything is compiled or written."""
        for group in self._groups:
            for member in group:
                with _named(member):
                    setup.check_options(member.config, self.mesh)
            dataset = self._dataset(group[0].config)
            with _named(group[0]):
                facts = setup.assemble(group[0].config, dataset, self.mesh)
                if "valid" not in dataset.splits:
                    raise UserError(
                        "a sweep ranks by validation, and there is no validation split; raise "
                        "config.data.valid_fraction"
                    )
            for member in group:
                with _named(member):
                    setup.check_data(member.config, dataset)
                    mean, std = facts.recipe.mean, facts.recipe.std
                    setup.make_recipe(member.config, dataset, mean, std, facts.schedule)
        self._say(
            f"sweep     {len(self._members)} members in {len(self._groups)} groups, "
            f"{self.mesh.size} x {self.mesh.devices.flat[0].device_kind}"
        )

    def train(self, segment: int, until: int | None, signals: SignalWatch) -> None:
        """Trains every part up to epoch `until`; None: to the end."""
        for number in range(len(self._groups)):
            for part in self._parts(number):
                segments, outcomes = part.folder.done()
                if segments > segment:
                    continue
                still = [m for m in part.members if m.name not in outcomes]
                if still:
                    self._train_part(part, still, segment, until, signals)

    def _parts(self, number: int) -> list[_Part]:
        """Returns the parts of a group: one, or more where memory is short."""
        if number in self._split:
            return self._split[number]
        everyone = {member.name: member for member in self._groups[number]}
        names = self.folder.parts(number)
        if names is None:
            dataset = self._dataset(self._groups[number][0].config)
            split = split_for_memory(self._groups[number], dataset, self.mesh, self._max_bytes)
            self.folder.write_parts(number, [group.members for group in split])
            names = [[member.name for member in group.members] for group in split]
            self._compiled = {tuple(n): g for n, g in zip(names, split, strict=True)}
            if len(names) > 1:
                self._say(f"group {number + 1} is split in {len(names)} for memory")
        self._split[number] = [
            _Part(PartFolder(self.folder, number, i), [everyone[name] for name in part])
            for i, part in enumerate(names)
        ]
        return self._split[number]

    def _train_part(
        self,
        part: _Part,
        still: list[Member],
        segment: int,
        until: int | None,
        signals: SignalWatch,
    ) -> None:
        last = min(until or still[0].config.num_epochs, still[0].config.num_epochs)
        names = ", ".join(member.name for member in still)
        self._say(f"training  {len(still)} members together: {names[:200]}")
        with self._open(part, still, segment) as run:
            run.train(last, signals)
            ended = [i for i in range(len(still)) if run.finished(i) or not run.active[i]]
            self._end(part, run, still, ended, segment, "diverged")
            _, outcomes = part.folder.done()
            part.folder.write_done(segment + 1, outcomes)

    @contextlib.contextmanager
    def _open(self, part: _Part, still: list[Member], segment: int):
        """Opens the run of members that train together, with their folders locked."""
        group = self._compiled.pop(tuple(member.name for member in still), None)
        group = group or Group(still, self._dataset(still[0].config), self.mesh)
        folders = [self.folder.run(member.name) for member in still]
        with contextlib.ExitStack() as stack:
            for place in group.own_places():
                with _named(still[place]):
                    member_folder.begin(folders[place], still[place], group.setup, self._words)
                    stack.enter_context(folders[place].lock())
            begin = functools.partial(self._begin, part, group, segment)
            run = GroupRun(group, folders, part.folder.checkpoints(segment), begin, self._say)
            stack.callback(run.checkpoints.close)
            yield run

    def _begin(self, part: _Part, group: Group, segment: int) -> Progress:
        """Returns where a segment begins: with the survivors of the one before."""
        if segment == 0:
            return fresh(group, self._load_weights, self._say)
        before = Group(self._in_segment(part, segment - 1), group.setup.dataset, self.mesh)
        saved = Checkpoints(part.folder.checkpoints(segment - 1), self._say)
        try:
            progress = saved.restore(abstract_progress(before))
        finally:
            saved.close()
        if progress is None:
            raise UserError(f"{part.folder.checkpoints(segment - 1)} is lost; put it back")
        return survivors(group, before, progress)

    def _in_segment(self, part: _Part, segment: int) -> list[Member]:
        """Returns the members that trained in a segment."""
        _, outcomes = part.folder.done()
        return [
            m for m in part.members if outcomes.get(m.name, {}).get("segment", segment) >= segment
        ]

    def _end(
        self,
        part: _Part,
        run: GroupRun,
        still: list[Member],
        ended: list[int],
        segment: int,
        otherwise: str,
    ) -> None:
        """Completes the folders of members; `otherwise` is how those end that have not finished."""
        segments, outcomes = part.folder.done()
        steps = run.steps_done()
        for place, result in zip(ended, run.write_members(ended), strict=True):
            best = selection.best(run.histories[place], still[place].config.select_by)
            outcomes[still[place].name] = {
                "status": otherwise if result is None else "finished",
                "segment": segment,
                "step": int(steps[place]),
                **{key: value for key, value in (result or best).items() if key != "step"},
            }
        part.folder.write_done(segments, outcomes)

    def halve(self, segment: int, epoch: int) -> None:
        """Drops the worse half of the members still training after `epoch`, by validation."""
        scored: dict[str, tuple[float, float]] = {}
        for part in self._all_parts():
            _, outcomes = part.folder.done()
            for member in part.members:
                end = outcomes.get(member.name)
                if end is None or (end["status"] == "dropped" and end["segment"] == segment):
                    lines = [
                        e for e in self.folder.run(member.name).metrics() if e["epoch"] <= epoch
                    ]
                    select_by = member.config.select_by
                    scored[member.name] = selection.score(
                        selection.best(lines, select_by), select_by
                    )
        ranked = sorted(scored, key=scored.__getitem__, reverse=True)
        dropped = ranked[-(-len(ranked) // 2) :]
        if dropped:
            self._say(f"halving   after epoch {epoch}, dropped: {', '.join(dropped)}")
        for part in self._all_parts():
            self._drop(part, segment, dropped)

    def _all_parts(self) -> list[_Part]:
        return [part for number in range(len(self._groups)) for part in self._parts(number)]

    def _drop(self, part: _Part, segment: int, dropped: Sequence[str]) -> None:
        _, outcomes = part.folder.done()
        if not any(m.name in dropped and m.name not in outcomes for m in part.members):
            return
        trained = self._in_segment(part, segment)
        places = [i for i, m in enumerate(trained) if m.name in dropped and m.name not in outcomes]
        with self._open(part, trained, segment) as run:
            self._end(part, run, trained, places, segment, "dropped")

    def rank(self, published: Callable[[ConfigDict], float | None]) -> list[dict[str, Any]]:
        """Writes the results and the link to the best; returns the members, best first."""
        ended = []
        for part in self._all_parts():
            _, outcomes = part.folder.done()
            for member in part.members:
                facts: dict[str, Any] = {"name": member.name, "overrides": dict(member.overrides)}
                facts["published"] = published(member.config)
                ended.append(facts | outcomes[member.name])
        select_by = self._members[0].config.select_by

        def order(entry: Mapping[str, Any]) -> tuple:
            measured = "valid_loss" in entry
            score = selection.score(entry, select_by) if measured else (-float("inf"),) * 2
            return -_STATUS.index(entry["status"]), *score

        ranked = sorted(ended, key=order, reverse=True)
        result = {
            "select_by": select_by,
            "members": ranked,
            "over_seeds": over_seeds(ranked, select_by),
        }
        self.folder.write("sweep.json", result)
        self.folder.write_text("sweep.csv", as_csv(ranked))
        if jax.process_index() == 0 and ranked[0]["status"] == "finished":
            link_best(self.folder.path, ranked[0]["name"])
        for part in self._all_parts():
            part.folder.drop_checkpoints()
        return ranked


@contextlib.contextmanager
def _named(member: Member):
    """Says which member an error is about."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"member {member.name}: {error}") from error
