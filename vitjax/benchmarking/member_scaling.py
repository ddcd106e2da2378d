"""Members of a sweep trained together, beside the same members one after another."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vitjax.benchmarking.cases import SEEDS, Case
from vitjax.benchmarking.measure import in_turn, ratio, summary
from vitjax.benchmarking.ours import SEED, Ours, make_recipe, random_splits
from vitjax.data import on_device
from vitjax.data.on_device import AtRest
from vitjax.sweeps.member_programs import MemberPrograms
from vitjax.training.placement.sharding import make_mesh, member_mesh, replicated
from vitjax.training.step import aot

CASE = "vit_light"
SIZES = (9, 64)  # members
STEPS = 100  # of each member in one turn


class Together:
    """Members of a case that differ in their learning rate, one program on all devices."""

    def __init__(self, case: Case, dtype: Any, num_members: int):
        mesh = member_mesh()
        size = -(-num_members // mesh.size) * mesh.size  # members are whole on a device

        def build(values: Any) -> Any:
            rate = values["learning_rate"]
            return make_recipe(case, dtype, rate), lambda step: rate

        self._recipe = make_recipe(case, dtype)
        programs = MemberPrograms(build, int(SEED), False, mesh)
        rates = case.optimizer_options["learning_rate"] * np.linspace(0.1, 1, size)
        self._values = {
            "learning_rate": jax.device_put(rates.astype(np.float32), programs.sharding)
        }
        places = jax.device_put(np.arange(size, dtype=np.int32), programs.sharding)
        self._states = programs.init(self._values, places)
        self._active = jax.device_put(np.ones(size, bool), programs.sharding)
        train = on_device.put(random_splits(case)[0], replicated(mesh))
        order = programs.epoch_order(self._values, np.int32(0))
        self._batches = AtRest(train, order, np.int32(0))
        self._programs, self._train = programs, None

    def compile_once(self) -> float:
        """Compiles the training of all members; returns the seconds."""
        start = time.perf_counter()
        (self._train,) = aot(self._recipe, (self._programs.train, self._arguments(0)))
        return time.perf_counter() - start

    def steps(self, count: int) -> float:
        """Trains each member `count` steps in one call; returns the seconds they took."""
        start = time.perf_counter()
        assert self._train is not None
        self._states, self._active = self._train(*self._arguments(count))
        if not np.asarray(self._active).all():
            raise FloatingPointError("a member of the benchmark diverged")
        return time.perf_counter() - start

    def _arguments(self, stop: int) -> tuple:
        parts = self._values, self._states, self._active, self._batches
        return *parts, np.int32(0), np.int32(stop)


def sweep(dtype: Any, *, sizes: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Returns for each number of members what they take together, and one after another.

    One run has the device that a run of its own has: all cores of a CPU, or one accelerator.
    """
    case = SEEDS[CASE].on(jax.default_backend())
    alone = Ours.of_case(case, dtype, make_mesh(jax.devices()[:1]))
    alone_compile = alone.compile_once()
    return [_point(case, dtype, alone, alone_compile, size, rounds) for size in sizes]


def _point(
    case: Case, dtype: Any, alone: Ours, alone_compile: float, size: int, rounds: int
) -> dict[str, Any]:
    """Measures `size` members."""
    together = Together(case, dtype, size)
    compile_seconds = {"alone": alone_compile, "together": together.compile_once()}
    said = in_turn(
        {
            "alone": lambda: alone.steps(STEPS) / STEPS,
            "together": lambda: together.steps(STEPS) / STEPS,
        },
        rounds,
    )
    as_one = ratio(said["together"], said["alone"])
    return {
        "case": CASE,
        "members": size,
        "batch_size": case.batch_size,
        "step_seconds": {name: summary(seconds) for name, seconds in said.items()},
        "compile_seconds": compile_seconds,
        "as_long_as_one": as_one,
        "times_faster": size / as_one,
    }
