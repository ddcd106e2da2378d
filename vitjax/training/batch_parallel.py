"""One run in training, its batches split over the devices."""

from typing import Any

import jax
import numpy as np

from vitjax.data import on_device
from vitjax.runs.checkpoints import Checkpoints
from vitjax.training import memory
from vitjax.training.diagnose import first_bad_layer
from vitjax.training.metrics import Metrics
from vitjax.training.progress import Say
from vitjax.training.setup import Setup
from vitjax.training.sharding import num_parts, replicated
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
        on_devices = replicated(setup.mesh)
        self._data = {
            name: on_device.put(split, on_devices) for name, split in setup.dataset.splits.items()
        }
        self._seed = jax.device_put(np.uint32(seed), on_devices)
        self._order: Any = None
        self._train_steps: Any = None
        self._validate: Any = None
        self.steps_per_epoch = setup.recipe.steps_per_epoch
        self.batch_size = setup.recipe.batch_size

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
        order = programs.epoch_order(self._seed, np.int32(0))
        train = state, self._seed, self._data["train"], order, np.int32(0)
        calls: list[tuple[Any, tuple]] = [(programs.train, train)]
        if "valid" in self._data:
            calls.append((programs.evaluate, (state.variables, self._data["valid"])))
        self._train_steps, *rest = aot(recipe, *calls)
        self._validate = rest[0] if rest else None
        mesh = self._setup.mesh
        memory.check_fits(
            self._train_steps,
            mesh.local_devices[0],
            recipe.batch_size,
            recipe.accumulation_steps,
            can_remat=memory.can_remat(recipe.model),
            can_split=num_parts(mesh) < mesh.size,
        )

    def begin_epoch(self, epoch: int) -> None:
        """Draws the order of the epoch."""
        self._order = self._programs.epoch_order(self._seed, np.int32(epoch))

    def train(self, active: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Trains up to `stop`, or up to a step that is not finite."""
        self._state = self._train_steps(
            self._state, self._seed, self._data["train"], self._order, np.int32(stop)
        )
        return np.array([int(self._state.step) == stop])

    def steps_done(self) -> np.ndarray:
        """The state's step."""
        return np.array([int(self._state.step)])

    def train_metrics(self) -> Metrics:
        """The state's metrics."""
        return _alone(self._state.metrics)

    def validate(self) -> Metrics | None:
        """Evaluates the state, averaged parameters where it has some."""
        if self._validate is None:
            return None
        return _alone(self._validate(self._state.variables, self._data["valid"]))

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
        recipe, mesh, train = self._setup.recipe, self._setup.mesh, self._data["train"]
        return first_bad_layer(recipe, mesh, self._seed, train, self._order, self._state)

    def test(self, step: int) -> Metrics:
        """Returns the metrics on the test split of the state at `step`, which has a checkpoint."""
        self._checkpoints.wait()
        state = self._state
        if int(state.step) != step:
            state = self._checkpoints.restore_step(step, self._programs.abstract_state)
        return self._programs.evaluate(state.variables, self._data["test"])


def _alone(metrics: Metrics) -> Metrics:
    """Returns the metrics of one as those of [1] members."""
    return jax.tree.map(lambda x: np.asarray(x)[None], metrics)
