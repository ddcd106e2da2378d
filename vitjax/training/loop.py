"""The host's loop: what K >= 1 members in training share, epoch by epoch."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from vitjax.errors import Interrupted
from vitjax.machine import processes
from vitjax.machine.signals import SignalWatch
from vitjax.runs.record import Record
from vitjax.training.chance import warning
from vitjax.training.metrics import Metrics, StepSums
from vitjax.training.progress import EpochBar, Pace, Say, epoch_line, members_line, timed


class Engine(Protocol):
    """K members: their compiled programs, and the states that these change.

    One run splits its batches over the devices (training/batch_parallel.py), many split themselves
    (sweeps/member_parallel.py). Arrays and metrics of members are NumPy's, with a leading [K].
    """

    steps_per_epoch: int
    batch_size: int

    def resume(self) -> tuple[int, np.ndarray]:
        """Goes on from the newest checkpoint; returns the steps done and who is active [K]."""

    def kept_steps(self) -> Sequence[set[int]]:
        """Returns the steps of each member whose states can be restored."""

    def compile(self) -> None:
        """Compiles what the epochs run; raises UserError where it does not fit into memory."""

    def train(self, active: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Trains the active members from step `first` to `stop`, within an epoch.

        Returns who goes on, bool [K]. One whose numbers are not finite stays as it was before.
        """

    def seconds_waited(self) -> float | None:
        """Returns how long devices had nothing to do for want of data; None where all lie there."""

    def steps_done(self) -> np.ndarray:
        """Returns how many steps each member has done."""

    def train_metrics(self) -> Metrics:
        """Returns the metrics of the epoch so far."""

    def step_sums(self) -> StepSums:
        """Returns the sums over the steps of the epoch so far."""

    def validate(self) -> Metrics | None:
        """Returns the metrics on the validation split; None without one."""

    def learning_rates(self, step: int) -> np.ndarray:
        """Returns the learning rate of each member at a step."""

    def keep_as_best(self, improved: np.ndarray, step: int) -> None:
        """Takes the states at `step` as the best so far of the members that have improved."""

    def save(self, step: int, active: np.ndarray) -> None:
        """Writes a checkpoint in the background, unless that of `step` is there."""

    def wait(self) -> None:
        """Waits until the last checkpoint is on disk."""

    def first_bad_layer(self, place: int) -> str:
        """Repeats the step that stopped a member and says where it stops being finite."""


class Training:
    """Members in training, from where they left off."""

    def __init__(
        self,
        engine: Engine,
        records: Sequence[Record],
        names: Sequence[str],
        workdir: Path,
        *,
        num_epochs: int,
        steps_per_call: int,
        say: Say,
        chance: float = 0.0,
    ):
        """`names` are the members', "" for a run of its own, whose folder is `workdir`.

        `chance` is the accuracy that guessing gives.
        """
        self._engine, self._records, self._names, self._say = engine, records, names, say
        self._chance = chance
        self._workdir, self._num_epochs, self._steps_per_call = workdir, num_epochs, steps_per_call
        self.failures: dict[int, str] = {}  # of members: where their numbers were not finite
        self.step, self.active = engine.resume()
        self._resume_records()

    def _resume_records(self) -> None:
        with processes.agreed():
            for record in self._records:
                record.truncate(self.step)
        kept, done = self._engine.kept_steps(), self.step // self._engine.steps_per_epoch
        for place, record in enumerate(self._records):
            if said := record.resume(self.step, kept[place], done if self.active[place] else None):
                self._say(f"{self._called(place)}{said}")

    def _called(self, place: int) -> str:
        """Returns what begins a line on one of several members."""
        return f"{self._names[place]}: " if self._names[place] else ""

    def train(self, until: int, signals: SignalWatch) -> None:
        """Trains up to the end of epoch `until`, or until no member is active any more."""
        last = until * self._engine.steps_per_epoch
        self._tell(self._stop_without_patience(), signals)
        if self.step >= last or not self.active.any():
            return
        with timed("compiling", self._say), processes.agreed():
            self._engine.compile()
        with signals:  # which end the process at once before and after, as nothing is lost there
            while self.step < last and self.active.any():
                self._leave_if_asked(signals)
                self._run_epoch(self.step // self._engine.steps_per_epoch, signals)
            if len(self.failures) < len(self._records):
                self._leave_if_asked(signals)
            self._engine.wait()

    def _run_epoch(self, epoch: int, signals: SignalWatch) -> None:
        """Trains to the end of an epoch, validates, writes all that there is to write.

        Then says so: what cannot be said any more costs no epoch.
        """
        started, before = time.perf_counter(), (self.step, self._engine.seconds_waited())
        self._train_epoch(epoch, signals)
        said: list[str] = []
        if self.active.any():
            pace = self._pace(*before, time.perf_counter() - started)
            said = self._end_epoch(epoch, started, pace, signals)
        if len(self.failures) < len(self._records):
            self._engine.save(self.step, self.active)
        self._tell(said, signals)

    def _tell(self, lines: Sequence[str], signals: SignalWatch) -> None:
        """Says lines; after a signal nobody need read them: Ctrl-C ends `| tee log` as well."""
        try:
            for line in lines:
                self._say(line)
        except BrokenPipeError:
            if not signals.received:
                raise

    def _pace(self, step: int, waited: float | None, seconds: float) -> dict[str, float]:
        """Returns how fast training was in `seconds`; `step` and `waited` are those before them."""
        pace = {"images_per_second": (self.step - step) * self._engine.batch_size / seconds}
        now = self._engine.seconds_waited()
        if waited is not None and now is not None:
            pace["data_wait"] = (now - waited) / seconds
        return pace

    def _train_epoch(self, epoch: int, signals: SignalWatch) -> None:
        engine, steps = self._engine, self._engine.steps_per_epoch
        begin, end = epoch * steps, (epoch + 1) * steps
        pace = Pace(self._steps_per_call)
        shape = (epoch + 1, self._num_epochs, steps, self.step - begin, engine.batch_size)
        with EpochBar(*shape, hidden=not processes.is_first()) as bar:
            while self.step < end and self.active.any():
                self._leave_if_asked(signals)
                called, before = time.perf_counter(), self.active
                stop = min(self.step + min(processes.all_of(pace.steps)), end)
                self.active = engine.train(before, self.step, stop)
                seconds, count = time.perf_counter() - called, stop - self.step
                self.step = stop
                for place in np.flatnonzero(before & ~self.active):
                    self._fail_in_step(int(place), signals)
                bar.update(count, seconds / before.sum(), self._mean_metrics())
                pace.took(count, seconds)

    def _mean_metrics(self) -> dict[str, float]:
        """Returns the metrics of the epoch so far over all active members."""
        metrics = self._engine.train_metrics()
        return jax.tree.map(lambda x: np.sum(x[self.active]), metrics).compute()

    def _fail_in_step(self, place: int, signals: SignalWatch) -> None:
        step = int(self._engine.steps_done()[place])
        epoch = step // self._engine.steps_per_epoch + 1
        layer = self._engine.first_bad_layer(place)
        self._fail(place, f"step {step} (epoch {epoch}), {layer}", signals)

    def _fail(self, place: int, where: str, signals: SignalWatch) -> None:
        """Takes a member out, as it was before its numbers stopped being finite."""
        self.active[place] = False
        self.failures[place] = where
        if self._names[place]:
            line = f"diverged  {self._called(place)}NaN or infinity at {where}, frozen"
            self._tell([line], signals)

    def _end_epoch(
        self, epoch: int, started: float, pace: Mapping[str, float], signals: SignalWatch
    ) -> list[str]:
        """Validates; writes each active member's line; keeps the states that are the best.

        Returns what to say of it.
        """
        engine = self._engine
        train, sums, valid = engine.train_metrics(), engine.step_sums(), engine.validate()
        # Sums over an epoch can be too large where those of each step are not.
        measures = {"training loss": train.loss, "gradient norm": sums.grad_norm}
        if valid is not None:
            measures["validation loss"] = valid.loss
        for name, values in measures.items():
            for place in map(int, np.flatnonzero(self.active & ~np.isfinite(values))):
                self._fail(place, f"the {name} of epoch {epoch + 1}", signals)
        rates = engine.learning_rates(self.step - 1)
        # A member's share: those of all members add up to what passed on the clock.
        share = 1 / max(self.active.sum(), 1)
        measured = {
            **pace,
            "images_per_second": pace["images_per_second"] / share,
            "seconds": (time.perf_counter() - started) * share,
        }
        improved = np.zeros(len(self.active), bool)
        engine.wait()  # so that metrics.jsonl is one epoch ahead of the checkpoints at most
        for place in map(int, np.flatnonzero(self.active)):
            line: dict[str, Any] = {"step": self.step, "epoch": epoch + 1}
            line |= _prefixed("train", train, place) | _prefixed("valid", valid, place)
            line |= {"lr": float(rates[place]), **sums.of_member(place).compute(), **measured}
            improved[place] = self._records[place].add(line)
        if improved.any():
            engine.keep_as_best(improved, self.step)
        said: list[str] = []
        if self.active.any():
            said.append(self._epoch_line(improved))
            for place in map(int, np.flatnonzero(self.active)):
                if text := warning(self._records[place].lines, self._chance):
                    said.append(f"warning   {self._called(place)}{text}")
        return said + self._stop_without_patience()

    def _epoch_line(self, improved: np.ndarray) -> str:
        """Returns what the terminal says of an epoch."""
        if not self._names[0]:
            return epoch_line(self._records[0].lines[-1], self._num_epochs, bool(improved[0]))
        places = map(int, np.flatnonzero(self.active))
        lines = {self._names[place]: self._records[place].lines[-1] for place in places}
        return members_line(lines, self._records[0].select_by, self._num_epochs)

    def _stop_without_patience(self) -> list[str]:
        """Takes the members out that have waited long enough; returns what to say of them."""
        said: list[str] = []
        for place in map(int, np.flatnonzero(self.active)):
            record = self._records[place]
            if record.is_out_of_patience:
                self.active[place] = False
                called = f"{self._names[place]}, " if self._names[place] else ""
                said.append(f"stopping: {called}no better validation in {record.patience} epochs")
        return said

    def _leave_if_asked(self, signals: SignalWatch) -> None:
        received = max(processes.all_of(signals.received))
        if received:
            self._engine.save(self.step, self.active)
            self._engine.wait()
            raise Interrupted(received, self.step, self._workdir)

    def is_finished(self, place: int) -> bool:
        """Whether a member has trained to the end of its run."""
        record = self._records[place]
        all_done = bool(record.lines) and record.lines[-1]["epoch"] >= self._num_epochs
        return all_done or record.is_out_of_patience


def _prefixed(split: str, metrics: Metrics | None, place: int) -> dict[str, Any]:
    """Returns a member's metrics on a split, named as in metrics.jsonl."""
    if metrics is None:
        return {}
    own = metrics.of_member(place).compute()
    return {f"{split}_{name}": value for name, value in own.items()}
