"""A group of a sweep's members in training."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vitjax.errors import UserError
from vitjax.runs import selection
from vitjax.runs.checkpoints import Checkpoints
from vitjax.runs.run_folder import RunFolder
from vitjax.sweeps import member_folder
from vitjax.sweeps.group import Group
from vitjax.training import processes
from vitjax.training.initial import LoadWeights, with_weights
from vitjax.training.interrupt import Interrupted, SignalWatch
from vitjax.training.metrics import Metrics
from vitjax.training.progress import EpochBar, Pace, Say, timed
from vitjax.training.results import evaluation
from vitjax.training.sharding import replicated
from vitjax.training.step import aot


class Progress(NamedTuple):
    """All that a group's training changes, with a leading member axis [K] but for `step`."""

    step: Any  # optimiser steps done by the members that are active
    states: Any
    best: Any  # the states after each member's best epoch
    active: Any  # bool; False: stopped early, diverged, or only fills up the devices


class GroupRun:
    """Trains a group from where `checkpoints` left off."""

    def __init__(
        self,
        group: Group,
        folders: Sequence[RunFolder],
        checkpoints: Path,
        begin: Callable[[], Progress],
        say: Say,
    ):
        """`folders` are the members'; `begin` serves where nothing is saved."""
        self._group, self._programs, self._folders, self._say = group, group.programs, folders, say
        self.checkpoints = Checkpoints(checkpoints, say)
        progress = self.checkpoints.restore(abstract_progress(group)) or begin()
        self._states, self._best = progress.states, progress.best
        self.active = np.array(processes.gather(progress.active))
        self.step = int(progress.step)
        self.histories = self._kept_histories()

    def _put(self, column: np.ndarray) -> jax.Array:
        return jax.device_put(column, self._programs.sharding)

    def _kept_histories(self) -> list[list[dict[str, Any]]]:
        """Drops each member's lines after the restored step; returns the others."""
        for place in self._group.own_places():
            self._folders[place].truncate_metrics(self.step)
        processes.wait_for_all("truncated")
        return [folder.metrics() for folder in self._folders]

    def train(self, until: int, signals: SignalWatch) -> None:
        """Trains up to the end of epoch `until`, or until no member is active any more."""
        steps = self._group.setup.recipe.steps_per_epoch
        if self.step >= until * steps or not self.active.any():
            return
        with timed("compiling", self._say):
            self._compile()
        while self.step < until * steps and self.active.any():
            started, epoch, at_start = time.perf_counter(), self.step // steps, self.step
            self._train_epoch(epoch, signals)
            if self.active.any():
                self._end_epoch(epoch, started, self.step - at_start)
            self._save()
            self._leave_if_asked(signals)

    def _compile(self) -> None:
        group, states = self._group, self._group.abstract_states
        self._train_steps = group.train_steps
        validate = group.values, states, group.data["valid"]
        (self._validate,) = aot(group.setup.recipe, (self._programs.evaluate, validate))

    def _train_epoch(self, epoch: int, signals: SignalWatch) -> None:
        group, recipe = self._group, self._group.setup.recipe
        steps = recipe.steps_per_epoch
        begin, end = epoch * steps, (epoch + 1) * steps
        orders = self._programs.epoch_order(group.values, np.int32(epoch))
        pace = Pace(group.config.steps_per_call)
        shape = (epoch + 1, group.config.num_epochs, steps, self.step - begin, recipe.batch_size)
        with EpochBar(*shape) as bar:
            while self.step < end and self.active.any():
                self._leave_if_asked(signals)
                called = time.perf_counter()
                stop = min(self.step + min(processes.all_of(pace.steps)), end)
                self._states, active = self._train_steps(
                    group.values,
                    self._states,
                    self._put(self.active),
                    group.data["train"],
                    orders,
                    np.int32(self.step),
                    np.int32(stop),
                )
                before, self.active = self.active, np.array(processes.gather(active))
                seconds, count = time.perf_counter() - called, stop - self.step
                self.step = stop
                pace.took(count, seconds)
                bar.update(count, seconds / before.sum(), self._mean_metrics())
                self._report(before & ~self.active, epoch)

    def _mean_metrics(self) -> Mapping[str, float]:
        """Returns the metrics of the epoch so far over all active members."""
        metrics = processes.gather(self._states.metrics)
        return jax.tree.map(lambda x: np.sum(x[self.active]), metrics).compute()

    def _report(self, diverged: np.ndarray, epoch: int, where: str = "") -> None:
        for place in map(int, np.flatnonzero(diverged)):
            where = where or f"step {self.steps_done()[place]}"
            name = self._group.members[place].name
            self._say(f"diverged  {name}: NaN or infinity at {where} (epoch {epoch + 1}), frozen")

    def steps_done(self) -> np.ndarray:
        """Returns how many steps each member has done."""
        return np.asarray(processes.gather(self._states.step))

    def _end_epoch(self, epoch: int, started: float, count: int) -> None:
        """Validates; writes each active member's line; keeps the states that are the best."""
        group, recipe = self._group, self._group.setup.recipe
        valid = processes.gather(self._validate(group.values, self._states, group.data["valid"]))
        train = processes.gather(self._states.metrics)
        rates = processes.gather(
            self._programs.learning_rate(group.values, group.places, np.int32(self.step - 1))
        )
        finite = np.isfinite(valid.loss)
        self._report(self.active & ~finite, epoch, f"the validation loss of epoch {epoch + 1}")
        self.active &= finite
        # A member's share: those of all members add up to what passed on the clock.
        seconds = (time.perf_counter() - started) / max(self.active.sum(), 1)
        improved = np.zeros(group.size, bool)
        for place in map(int, np.flatnonzero(self.active)):
            line = {
                "step": self.step,
                "epoch": epoch + 1,
                **_prefixed("train", member_of(train, place).compute()),
                **_prefixed("valid", member_of(valid, place).compute()),
                "lr": float(rates[place]),
                "images_per_second": count * recipe.batch_size / seconds,
                "seconds": seconds,
            }
            improved[place] = self._add(place, line)
        if improved.any():
            self._best = self._programs.select(self._put(improved), self._states, self._best)
        self._say(self._epoch_line(epoch, seconds * self.active.sum()))
        for place in map(int, np.flatnonzero(self.active)):
            self.active[place] = not self._out_of_patience(place)

    def _add(self, place: int, line: dict[str, Any]) -> bool:
        """Writes a member's line; returns whether its epoch is the member's best so far."""
        history = self.histories[place]
        history.append(line)
        if place in self._group.own_places():
            self._folders[place].append_metrics(line)
        return selection.best(history, self._group.config.select_by) is line

    def _epoch_line(self, epoch: int, seconds: float) -> str:
        """Returns a line for the terminal: the best member of the epoch, and how many train."""
        select_by, places = self._group.config.select_by, np.flatnonzero(self.active)
        text = f"epoch {epoch + 1}/{self._group.config.num_epochs}  {len(places)} members"
        if not len(places):
            return text
        best = max(places, key=lambda place: selection.score(self.histories[place][-1], select_by))
        line = self.histories[best][-1]
        return (
            f"{text}  best valid loss {line['valid_loss']:.4f} accuracy "
            f"{line['valid_accuracy']:.4f} ({self._group.members[best].name})  {seconds:.1f} s"
        )

    def _out_of_patience(self, place: int) -> bool:
        history, config = self.histories[place], self._group.config
        best = selection.best(history, config.select_by)
        return selection.out_of_patience(history[-1]["epoch"], best, config.patience)

    def finished(self, place: int) -> bool:
        """Whether a member has trained to the end of its run."""
        history = self.histories[place]
        all_done = bool(history) and history[-1]["epoch"] >= self._group.config.num_epochs
        return all_done or (bool(history) and self._out_of_patience(place))

    @property
    def progress(self) -> Progress:
        """What a checkpoint holds."""
        step = jax.device_put(np.int32(self.step), replicated(self._programs.mesh))
        return Progress(step, self._states, self._best, self._put(self.active))

    def _save(self) -> None:
        if self.step not in self.checkpoints.steps():
            self.checkpoints.save(self.step, self.progress)

    def _leave_if_asked(self, signals: SignalWatch) -> None:
        received = max(processes.all_of(signals.received))
        if received:
            self._save()
            self.checkpoints.wait()
            raise Interrupted(received, self.step)

    def write_members(self, places: Sequence[int]) -> list[dict[str, Any] | None]:
        """Completes the folders of these members; returns what eval.json holds, None without.

        Those that have finished are measured on test, at their best epochs.
        """
        results: list[dict[str, Any] | None] = [None] * len(places)
        if any(self.finished(place) for place in places):
            group = self._group
            metrics = processes.gather(
                self._programs.evaluate(group.values, self._best, group.data["test"])
            )
            results = [
                self._result(place, member_of(metrics, place)) if self.finished(place) else None
                for place in places
            ]
        own = self._group.own_places()
        lasts, bests = processes.local_members(self._states), processes.local_members(self._best)
        for place, result in zip(places, results, strict=True):
            if place in own:
                member_folder.end(
                    self._folders[place],
                    self.histories[place],
                    self._group.config.select_by,
                    bests[place],
                    lasts[place],
                    result,
                )
        processes.wait_for_all("written")
        return results

    def _result(self, place: int, metrics: Metrics) -> dict[str, Any]:
        """Returns what a member's eval.json holds, `metrics` being those on test."""
        history, config = self.histories[place], self._group.members[place].config
        best = selection.best(history, config.select_by)
        return evaluation(metrics, best, history, self._group.setup, config)


def fresh(group: Group, load_weights: LoadWeights | None, say: Say) -> Progress:
    """Returns the progress before the first step."""
    programs, weights = group.programs, group.config.finetune.weights
    with timed("initialising", say):
        states = programs.init(group.values, group.places)
    if weights:
        states = _with_weights(group, states, load_weights, say)
    active = np.arange(group.size) < len(group.members)
    everyone = jax.device_put(np.ones(group.size, bool), programs.sharding)
    best = programs.select(everyone, states, states)
    return Progress(np.int32(0), states, best, jax.device_put(active, programs.sharding))


def _with_weights(group: Group, states: Any, load_weights: LoadWeights | None, say: Say) -> Any:
    """Loads each member's variables: what the weights lack, such as a head, is its own."""
    if jax.process_count() > 1:
        raise UserError(
            "config.finetune.weights works in a sweep of one process only; leave it empty, or "
            "start one process"
        )
    weights, recipe = group.config.finetune.weights, group.setup.recipe
    loaded = []
    for place in range(group.size):
        own = jax.tree.map(lambda x, place=place: x[place], states)
        quiet = say if place == 0 else (lambda text: None)
        loaded.append(with_weights(recipe, own, weights, load_weights, quiet))
    stacked = jax.tree.map(lambda *each: np.stack(each), *loaded)
    return jax.device_put(stacked, group.programs.sharding)


def survivors(group: Group, before: Group, saved: Progress) -> Progress:
    """Returns what a smaller group goes on with, of the one that it was part of."""
    names = [member.name for member in before.members]
    kept = np.asarray([names.index(member.name) for member in group.members], np.int32)
    places, take = group.padded(kept), group.programs.take
    active = np.array(processes.gather(saved.active))[places]
    active[len(kept) :] = False
    placed = jax.device_put(active, group.programs.sharding)
    return Progress(saved.step, take(saved.states, places), take(saved.best, places), placed)


def abstract_progress(group: Group) -> Progress:
    """Returns the shapes and the placement of a group's progress."""
    states, mesh = group.abstract_states, group.programs.mesh
    return Progress(
        jax.ShapeDtypeStruct((), np.int32, sharding=replicated(mesh)),
        states,
        states,
        jax.ShapeDtypeStruct((group.size,), bool, sharding=group.programs.sharding),
    )


def member_of(metrics: Metrics, place: int) -> Metrics:
    """Returns the metrics of one member of [K]."""
    return jax.tree.map(lambda x: x[place], metrics)


def _prefixed(split: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{split}_{name}": value for name, value in metrics.items()}
