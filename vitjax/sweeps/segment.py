"""Members that train together, from one halving of the sweep to the next."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from vitjax.config import to_json
from vitjax.data.dataset import Dataset
from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.machine.signals import SignalWatch
from vitjax.runs.logs import Logs
from vitjax.runs.record import Record
from vitjax.runs.run_folder import RunFolder
from vitjax.sweeps import member_folder
from vitjax.sweeps.group import Group
from vitjax.sweeps.member_parallel import MemberParallel, Progress, fresh, survivors
from vitjax.sweeps.plan import Member
from vitjax.sweeps.sweep_folder import PartFolder, SweepFolder
from vitjax.training.chance import chance
from vitjax.training.loop import Training
from vitjax.training.progress import Say
from vitjax.training.run import weights_digest
from vitjax.training.setup import eval_json


class Context(NamedTuple):
    """What all segments of a sweep share."""

    folder: SweepFolder
    mesh: Mesh
    vectorize: bool | None
    words: Sequence[str]  # of the command line
    read_data: Callable[[ConfigDict], Dataset]
    say: Say

    def group(self, members: Sequence[Member]) -> Group:
        """Returns the programs and the data of members that train together."""
        return Group(members, self.read_data(members[0].config), self.mesh, self.vectorize)

    def check_weights(self, config: ConfigDict) -> None:
        """Raises UserError unless the weights that members begin with are as they were."""
        if found := weights_digest(config):
            self.folder.check_weights(config.finetune.weights, found)


class Part(NamedTuple):
    """Members that train together."""

    folder: PartFolder
    members: list[Member]

    def members_of(self, segment: int) -> list[Member]:
        """Returns the members that train, or have trained, in a segment."""
        _, outcomes = self.folder.done()
        return [
            m for m in self.members if outcomes.get(m.name, {}).get("segment", segment) >= segment
        ]

    def members_left(self) -> list[Member]:
        """Returns the members that have not ended."""
        _, outcomes = self.folder.done()
        return [m for m in self.members if m.name not in outcomes]


class Segment(NamedTuple):
    """Members in training."""

    number: int
    part: Part
    group: Group
    engine: MemberParallel
    training: Training
    records: list[Record]

    def end(self, places: Sequence[int], otherwise: str) -> None:
        """Ends the segment: completes the folders of members that train no more.

        Those that have finished are measured on test, at their best epochs; `otherwise` is how the
        others end.
        """
        _, outcomes = self.part.folder.done()
        steps, results = self.engine.steps_done(), self._results(places)
        self._write_folders(places, results)
        for place, result in zip(places, results, strict=True):
            measured = result or self.records[place].best
            outcomes[self.group.members[place].name] = {
                "status": self._status(place, result, otherwise),
                "segment": self.number,
                "step": int(steps[place]),
                **{key: value for key, value in measured.items() if key != "step"},
            }
        self.part.folder.write_done(self.number + 1, outcomes)

    def _status(self, place: int, result: dict[str, Any] | None, otherwise: str) -> str:
        if result is not None:
            return "finished"
        return "diverged" if self.training.is_finished(place) else otherwise

    def _results(self, places: Sequence[int]) -> list[dict[str, Any] | None]:
        """Returns what eval.json holds of each member.

        None of one that has not finished, or whose loss on test is not finite.
        """
        finished = [self.training.is_finished(place) for place in places]
        if not any(finished):
            return [None] * len(places)
        metrics = self.engine.test()
        return [
            self._result(place, metrics) if done and np.isfinite(metrics.loss[place]) else None
            for place, done in zip(places, finished, strict=True)
        ]

    def _result(self, place: int, metrics: Any) -> dict[str, Any]:
        record, own = self.records[place], metrics.of_member(place)
        measured = {f"test_{name}": value for name, value in own.compute().items()}
        record.log(record.lines[-1]["step"], measured)
        config = self.group.members[place].config
        return eval_json(own, record.best, record.lines, self.group.setup, config)

    def _write_folders(
        self, places: Sequence[int], results: Sequence[dict[str, Any] | None]
    ) -> None:
        states = self.engine.states(places)
        for place, (best, last), result in zip(places, states, results, strict=True):
            # Orbax writes NumPy arrays in the first process only.
            if processes.is_first():
                record = self.records[place]
                member_folder.end(record.folder, record.best.get("step"), best, last, result)
        processes.wait_for_all("written")


def train(
    context: Context,
    part: Part,
    number: int,
    until: int | None,
    signals: SignalWatch,
    group: Group,
) -> None:
    """Trains a `group`, a part's members that are left, up to epoch `until`; None: to the end."""
    members, config = group.members, group.config
    names = ", ".join(member.name for member in members)
    context.say(f"training  {len(members)} members together: {names[:200]}")
    with opened(context, part, number, group) as segment:
        segment.training.train(min(until or config.num_epochs, config.num_epochs), signals)
        places = range(len(members))
        active = segment.training.active
        ended = [i for i in places if segment.training.is_finished(i) or not active[i]]
        segment.end(ended, "diverged")


def drop(context: Context, part: Part, number: int, names: Sequence[str]) -> None:
    """Ends the members called so that have not ended by themselves, after a segment."""
    left = {member.name for member in part.members_left()} & set(names)
    if left:
        members = part.members_of(number)
        with opened(context, part, number, context.group(members)) as segment:
            segment.end([i for i, m in enumerate(members) if m.name in left], "dropped")


@contextlib.contextmanager
def opened(context: Context, part: Part, number: int, group: Group) -> Iterator[Segment]:
    """Opens the training of members where it left off, with their folders locked."""
    own, records = group.own_places(), []
    with contextlib.ExitStack() as closing:
        folders = [context.folder.run(member.name) for member in group.members]
        with processes.agreed():
            for place in own:
                with named(group.members[place]):
                    closing.enter_context(folders[place].lock())
                    member_folder.begin(
                        folders[place], group.members[place], group.setup, context.words
                    )
        for place, (member, folder) in enumerate(zip(group.members, folders, strict=True)):
            records.append(_record(context, folder, member, place in own))
            closing.callback(records[-1].close)
        engine = MemberParallel(
            group,
            part.folder.checkpoints(number),
            functools.partial(_made_with, context.folder, group),
            functools.partial(_begin, context, part, group, number),
            context.say,
        )
        closing.callback(engine.close)
        training = Training(
            engine,
            records,
            [member.name for member in group.members],
            context.folder.path,
            num_epochs=group.config.num_epochs,
            steps_per_call=group.config.steps_per_call,
            say=context.say,
            chance=chance(group.setup.dataset.splits["train"].labels),
        )
        yield Segment(number, part, group, engine, training, records)


def _record(context: Context, folder: RunFolder, member: Member, own: bool) -> Record:
    """Returns the record of a member; this process writes it if it is its `own`."""
    config, logs = member.config, None
    if own:
        sweep = context.folder.path.name
        logs = Logs(folder.path, to_json(config), sweep=sweep, **config.log)
    return Record(folder, logs, select_by=config.select_by, patience=config.patience, writes=own)


def _begin(context: Context, part: Part, group: Group, number: int) -> Progress:
    """Returns where a segment begins: with the survivors of the one before."""
    if number == 0:
        context.check_weights(group.config)
        progress = fresh(group, context.say)
        context.check_weights(group.config)  # those of a run in training change by the epoch
        return progress
    before = context.group(part.members_of(number - 1))
    made_with = functools.partial(_made_with, context.folder, before)
    return survivors(group, before, part.folder.checkpoints(number - 1), made_with, context.say)


def _made_with(folder: SweepFolder, group: Group, step: int) -> dict[str, Any]:
    """Returns what the files of the sweep say of the members' states at a step."""
    lines = {
        f"runs/{member.name}/metrics.jsonl": folder.run(member.name).digest_of_metrics(step)
        for member in group.members
    }
    return {"plan.json": group.planned()} | lines


@contextlib.contextmanager
def named(member: Member) -> Iterator[None]:
    """Says which member an error is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"member {member.name}: {error}") from error
