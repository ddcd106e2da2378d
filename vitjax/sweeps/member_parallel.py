"""Members of a sweep in training, split over the devices."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.runs.checkpoints import Checkpoints, MadeWith
from vitjax.sweeps.group import Group
from vitjax.sweeps.member_programs import own_parts
from vitjax.training.diagnose import first_bad_layer
from vitjax.training.metrics import Metrics, StepSums
from vitjax.training.placement import sharding
from vitjax.training.placement.sharding import make_mesh, replicated
from vitjax.training.progress import Say, timed
from vitjax.training.run import with_weights


class Progress(NamedTuple):
    """All that a group's training changes, with a leading member axis [K] but for `step`."""

    step: Any  # optimiser steps done by the members that are active
    states: Any
    best: Any  # the states after each member's best epoch
    active: Any  # bool; False: stopped early, diverged, or only fills up the devices


class MemberParallel:
    """The engine of a group (training/loop.py says what each method does); [K] are its members.

    Compiled programs have the group's size, which fills up the devices.
    """

    def __init__(
        self,
        group: Group,
        checkpoints: Path,
        made_with: MadeWith,
        begin: Callable[[], Progress],
        say: Say,
    ):
        """Goes on from `checkpoints`; `begin` serves where nothing is saved."""
        self._group, self._programs, self._begin = group, group.programs, begin
        self._say = say
        self._checkpoints = Checkpoints(checkpoints, say, made_with=made_with)
        self._states: Any = None
        self._best: Any = None
        self._train_steps: Any = None
        self._validate: Any = None
        self.steps_per_epoch = group.setup.recipe.steps_per_epoch
        self.batch_size = group.setup.recipe.batch_size

    def close(self) -> None:
        """Waits for the last save, and ends what reads data in the background."""
        self._group.feed.close()
        self._checkpoints.close()

    def _put(self, column: np.ndarray) -> jax.Array:
        """Fills [K] up with members that do not train, and splits it over the devices."""
        whole = np.zeros(self._group.size, bool)
        whole[: len(column)] = column
        return jax.device_put(whole, self._programs.sharding)

    def _gather(self, tree: Any) -> Any:
        """Returns arrays of the group's size as NumPy's of [K]."""
        num_members = len(self._group.members)
        return jax.tree.map(lambda x: np.array(x[:num_members]), sharding.gather(tree))

    def resume(self) -> tuple[int, np.ndarray]:
        """Restores the newest checkpoint; without one, begins."""
        group = self._group
        progress = _restored(group, self._checkpoints)
        if progress is None:
            progress = self._begin()
        else:
            self._say(f"resuming at step {int(progress.step)}")
            if progress.active.size != group.size:  # other devices have filled it up
                everyone = np.arange(len(group.members), dtype=np.int32)
                progress = _taken(group, progress, everyone)
        self._states, self._best = progress.states, progress.best
        return int(progress.step), self._gather(progress.active)

    def kept_steps(self) -> list[set[int]]:
        """The steps of the members' best states."""
        return [{int(step)} for step in self._gather(self._best.step)]

    def compile(self) -> None:
        """Compiles training and validation, unless that was done to predict their memory."""
        self._train_steps, self._validate = self._group.compiled

    def train(self, active: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Trains the active members up to `stop`, each up to a step that is not finite."""
        values, on = self._group.values, self._put(active)
        for batches, until in self._group.feed.batches(first, stop, self._states):
            self._states, on = self._train_steps(
                values, self._states, on, batches, np.int32(first), np.int32(until)
            )
            first = until
        return self._gather(on)

    def seconds_waited(self) -> float | None:
        """Those of a stream."""
        return self._group.feed.waited if self._group.setup.streams else None

    def steps_done(self) -> np.ndarray:
        """Each state's step."""
        return self._gather(self._states.step)

    def train_metrics(self) -> Metrics:
        """Each state's metrics."""
        return self._gather(self._states.metrics)

    def step_sums(self) -> StepSums:
        """Each state's sums."""
        return self._gather(self._states.sums)

    def validate(self) -> Metrics | None:
        """Evaluates every member's state."""
        group = self._group
        who = group.values, self._states
        return self._gather(group.feed.metrics(self._validate, "valid", who))

    def learning_rates(self, step: int) -> np.ndarray:
        """The rate of each member's schedule."""
        group = self._group
        rates = self._programs.learning_rate(group.values, group.places, np.int32(step))
        return self._gather(rates)

    def keep_as_best(self, improved: np.ndarray, step: int) -> None:
        """Copies the states of the members that have improved."""
        self._best = self._programs.select(self._put(improved), self._states, self._best)

    def save(self, step: int, active: np.ndarray) -> None:
        """Writes the progress of all members."""
        if step not in self._checkpoints.steps():
            everywhere = replicated(self._programs.mesh)
            number = jax.device_put(np.int32(step), everywhere)
            progress = Progress(number, self._states, self._best, self._put(active))
            processes.wait_for_all("lines")  # of which the first tells in the manifest
            self._checkpoints.save(step, progress)

    def wait(self) -> None:
        """Waits until the last checkpoint is on disk."""
        self._checkpoints.wait()

    def first_bad_layer(self, place: int) -> str:
        """Repeats the step that stopped a member, as its own run would, on one device."""
        own, group, on_each = self._programs.member, self._group, np.int32(place)
        values, state = jax.device_get(own((group.values, self._states), on_each))
        batches = group.feed.batches_at(int(state.step))
        if self._programs.seeded:
            parts = jax.jit(own_parts, static_argnums=1)(batches, group.size)
            batches = dataclasses.replace(batches, **own(parts, on_each))
        recipe, seed = group.member_recipe(values), self._programs.seed_of(values)
        mesh = make_mesh(self._programs.mesh.local_devices[:1])
        batches = jax.tree.map(_on_first_device, batches)
        return first_bad_layer(recipe, mesh, seed, batches, state)

    def test(self) -> Metrics:
        """Returns the metrics [K] on the test split of each member's best epoch."""
        group = self._group
        who = group.values, self._best
        program, _ = group.feed.evaluation("test", who)
        return self._gather(group.feed.metrics(program, "test", who))

    def states(self, places: Sequence[int]) -> Iterator[tuple[Any, Any]]:
        """Yields the best and the last state of each of the places, as NumPy, in every process."""
        best, last = sharding.local_members(self._best), sharding.local_members(self._states)
        empty = jax.tree.map(lambda x: np.zeros(x.shape[1:], x.dtype), self._group.abstract_states)
        own = self._group.own_places()
        for place in places:
            is_owner = place in own
            states = (best[place], last[place]) if is_owner else (empty, empty)
            yield processes.arrays_of(states, is_owner=is_owner)


def fresh(group: Group, say: Say) -> Progress:
    """Returns the progress before the first step."""
    programs = group.programs
    with timed("initialising", say):
        states = programs.init(group.values, group.places)
    if group.config.finetune.weights:
        states = _with_weights(group, states, say)
    active = np.arange(group.size) < len(group.members)
    everyone = jax.device_put(np.ones(group.size, bool), programs.sharding)
    best = programs.select(everyone, states, states)
    return Progress(np.int32(0), states, best, jax.device_put(active, programs.sharding))


def _with_weights(group: Group, states: Any, say: Say) -> Any:
    """Loads each member's variables: what the weights lack, such as a head, is its own."""
    if jax.process_count() > 1:
        raise UserError(
            "config.finetune.weights works in a sweep of one process only; leave it empty, or "
            "start one process"
        )
    loaded = []
    for place in range(group.size):
        own = jax.tree.map(lambda x, place=place: x[place], states)
        quiet = say if place == 0 else (lambda text: None)
        loaded.append(with_weights(group.config, group.setup.recipe, own, quiet))
    stacked = jax.tree.map(lambda *each: np.stack(each), *loaded)
    return jax.device_put(stacked, group.programs.sharding)


def survivors(
    group: Group, before: Group, checkpoints: Path, made_with: MadeWith, say: Say
) -> Progress:
    """Returns what a smaller group goes on with, of the one before, saved in `checkpoints`."""
    saved_before = Checkpoints(checkpoints, say, made_with=made_with)
    try:
        saved = _restored(before, saved_before)
    finally:
        saved_before.close()
    if saved is None:
        raise UserError(f"{checkpoints} is lost; put it back")
    names = [member.name for member in before.members]
    kept = np.asarray([names.index(member.name) for member in group.members], np.int32)
    return _taken(group, saved, kept)


def _taken(group: Group, saved: Progress, kept: np.ndarray) -> Progress:
    """Returns the progress of the group's members, which stand at the places `kept` of a saved."""
    places, take = group.padded(kept), group.programs.take
    active = np.array(sharding.gather(saved.active))[places]
    active[len(kept) :] = False
    placed = jax.device_put(active, group.programs.sharding)
    return Progress(saved.step, take(saved.states, places), take(saved.best, places), placed)


def _restored(group: Group, checkpoints: Checkpoints) -> Progress | None:
    """Returns the newest progress, of the size that the devices of then filled up."""
    return checkpoints.restore(
        lambda step: _abstract_progress(group, checkpoints.shape(step, "active")[0])
    )


def _abstract_progress(group: Group, size: int) -> Progress:
    """Returns the shapes and the placement of a group's progress that was filled up to `size`."""
    on_each = replicated(group.programs.mesh)
    split = size % group.programs.mesh.size == 0
    by_member = group.programs.sharding if split else on_each

    def saved(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype, sharding=by_member)

    states = jax.tree.map(saved, group.abstract_states)
    return Progress(
        jax.ShapeDtypeStruct((), np.int32, sharding=on_each),
        states,
        states,
        jax.ShapeDtypeStruct((size,), bool, sharding=by_member),
    )


def _on_first_device(array: Any) -> Any:
    """Returns an array that lies whole on each device as one of this process's first device."""
    return array.addressable_shards[0].data if isinstance(array, jax.Array) else array
