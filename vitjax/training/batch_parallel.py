"""One run in training, its batches split over the devices."""

from typing import Any

import jax
import numpy as np

from vitjax.data import on_device
from vitjax.data.order import EpochOrders
from vitjax.runs.checkpoints import Checkpoints
from vitjax.training.ahead import memory
from vitjax.training.diagnose import first_bad_layer
from vitjax.training.metrics import Metrics, StepSums
from vitjax.training.placement.feeds import AtRestFeed, Feed, StreamFeed
from vitjax.training.placement.sharding import num_parts, of_chunks, replicated
from vitjax.training.progress import Say
from vitjax.training.setup import Setup
from vitjax.training.state import TrainState
from vitjax.training.step import Programs, aot


class BatchParallel:
    """The engine of one run (training/loop.py says what each method does); [K] is [1]."""

    def __init__(
        self,
        setup: Setup,
        programs: Programs,
        seed: int,
        checkpoints: Checkpoints,
        fresh: TrainState | None,
        say: Say,
    ):
        """`fresh` is where a run without checkpoints begins; one with some does not need it."""
        self._setup, self._programs, self._checkpoints = setup, programs, checkpoints
        self._state: Any = fresh
        self._say = say
        self._seed = jax.device_put(np.uint32(seed), replicated(setup.mesh))
        self._feed = _feed(setup, programs, seed, self._seed)
        self._train_steps: Any = None
        self._validate: Any = None
        self.steps_per_epoch = setup.recipe.steps_per_epoch
        self.batch_size = setup.recipe.batch_size

    def close(self) -> None:
        """Ends what reads data in the background."""
        self._feed.close()

    def resume(self) -> tuple[int, np.ndarray]:
        """Restores the newest checkpoint, if any."""
        restored = self._checkpoints.restore(self._programs.abstract_state)
        if restored is not None:
            self._state = restored
            self._say(f"resuming at step {int(restored.step)}")
        return int(self._state.step), np.array([True])

    def kept_steps(self) -> list[set[int]]:
        """The steps that have a checkpoint."""
        return [set(self._checkpoints.steps())]

    def compile(self) -> None:
        """Compiles training and validation, and checks that a step fits into memory."""
        programs, state, recipe = self._programs, self._state, self._setup.recipe
        calls = [(programs.train, (state, self._seed, self._feed.example(), np.int32(0)))]
        if "valid" in self._setup.dataset.splits:
            calls.append(self._feed.evaluation("valid", (state.variables,)))
        self._train_steps, *rest = aot(recipe, *calls)
        self._validate = rest[0] if rest else None
        mesh = self._setup.mesh
        if self._validate is not None:
            memory.check_evaluation_fits(
                self._validate, mesh.local_devices[0], recipe.eval_batch_size
            )
        memory.check_fits(
            self._train_steps,
            mesh.local_devices[0],
            recipe.batch_size,
            recipe.accumulation_steps,
            can_remat=memory.can_remat(recipe.model),
            can_split=num_parts(mesh) < mesh.size,
        )

    def train(self, active: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Trains up to `stop`, or up to a step that is not finite."""
        for batches, until in self._feed.batches(first, stop, self._state):
            self._state = self._train_steps(self._state, self._seed, batches, np.int32(until))
        return np.array([int(self._state.step) == stop])

    def seconds_waited(self) -> float | None:
        """Those of a stream."""
        return self._feed.waited if self._setup.streams else None

    def steps_done(self) -> np.ndarray:
        """The state's step."""
        return np.array([int(self._state.step)])

    def train_metrics(self) -> Metrics:
        """The state's metrics."""
        return _alone(self._state.metrics)

    def step_sums(self) -> StepSums:
        """The state's sums."""
        return _alone(self._state.sums)

    def validate(self) -> Metrics | None:
        """Evaluates the state, averaged parameters where it has some."""
        if self._validate is None:
            return None
        return _alone(self._feed.metrics(self._validate, "valid", (self._state.variables,)))

    def learning_rates(self, step: int) -> np.ndarray:
        """The schedule's rate."""
        return np.array([float(self._setup.schedule(np.int32(step)))])

    def keep_as_best(self, improved: np.ndarray, step: int) -> None:
        """Keeps the checkpoint of `step` beside the newest."""
        self._checkpoints.best_step = step

    def save(self, step: int, active: np.ndarray) -> None:
        """Writes the state."""
        if step not in self._checkpoints.steps():
            self._checkpoints.save(step, self._state)

    def wait(self) -> None:
        """Waits until the last checkpoint is on disk."""
        self._checkpoints.wait()

    def first_bad_layer(self, place: int) -> str:
        """Repeats the step that stopped the run."""
        recipe, mesh, step = self._setup.recipe, self._setup.mesh, int(self._state.step)
        batches = self._feed.batches_at(step)
        return first_bad_layer(recipe, mesh, self._seed, batches, self._state)

    def test(self, step: int) -> Metrics:
        """Returns the metrics on the test split of the state at `step`, which has a checkpoint."""
        self._checkpoints.wait()
        state = self._state
        if int(state.step) != step:
            state = self._checkpoints.restore_step(step, self._programs.abstract_state)
        program, _ = self._feed.evaluation("test", (state.variables,))
        return self._feed.metrics(program, "test", (state.variables,))


def _feed(setup: Setup, programs: Programs, seed: int, on_devices: jax.Array) -> Feed:
    """Returns what brings the batches; the seed is wanted both here and on the devices."""
    recipe, everywhere = setup.recipe, replicated(setup.mesh)
    if setup.streams:
        orders = EpochOrders(seed, *recipe.order_options)
        zero = jax.device_put(jax.device_get(Metrics.zero()), everywhere)
        split = of_chunks(setup.mesh)
        return StreamFeed(setup, orders, split, programs.evaluate_chunk, zero)
    return AtRestFeed(
        {name: on_device.put(split, everywhere) for name, split in setup.dataset.splits.items()},
        lambda epoch: programs.epoch_order(on_devices, epoch),
        recipe.steps_per_epoch,
        programs.evaluate,
    )


def _alone(sums: Any) -> Any:
    """Returns the sums of one as those of [1] members."""
    return jax.tree.map(lambda x: np.asarray(x)[None], sums)
