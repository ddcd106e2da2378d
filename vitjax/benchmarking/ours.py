"""A case of the suite trained by vitjax, on random data, stage by stage."""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh

from vitjax import models
from vitjax.benchmarking.cases import Case
from vitjax.benchmarking.profile import share_outside_products
from vitjax.benchmarking.random_data import random_split
from vitjax.data import on_device
from vitjax.data.augment import Augmentation
from vitjax.data.dataset import Split
from vitjax.data.on_device import AtRest, DeviceImages
from vitjax.errors import UserError
from vitjax.machine.temporary import temporary_folder
from vitjax.training import losses, optim
from vitjax.training.ahead import memory
from vitjax.training.placement.sharding import make_mesh, replicated
from vitjax.training.step import Programs, Recipe, aot

SEED = np.uint32(0)
_PROFILED_STEPS = 5


def make_recipe(case: Case, dtype: Any, learning_rate: Any = None) -> Recipe:
    """Returns what training `case` computes; its own learning rate unless one is given."""
    options: dict[str, Any] = dict(case.optimizer_options)
    own_rate = jnp.float32(options.pop("learning_rate"))
    learning_rate = own_rate if learning_rate is None else learning_rate
    channels = case.image_shape[-1]
    return Recipe(
        model=models.create(case.model_name, case.num_classes, dtype=dtype, **case.options),
        tx=optim.make_optimizer(case.optimizer, lambda step: learning_rate, **options),
        loss=losses.make_loss("cross_entropy", jnp.ones(case.num_classes), 0.0),
        augmentation=Augmentation(**case.augment),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        image_shape=case.image_shape,
        num_classes=case.num_classes,
        num_examples=case.num_train,
        batch_size=case.batch_size,
    )


def random_splits(case: Case) -> tuple[Split, Split]:
    """Returns random images to train on and to test on."""
    train, test = (
        Split(*random_split(case, count, seed), np.arange(count).astype(str))
        for seed, count in enumerate((case.num_train, case.num_test))
    )
    return train, test


class Ours:
    """The compiled programs of one recipe, ready to be timed."""

    def __init__(self, recipe: Recipe, mesh: Mesh, train: DeviceImages, test: DeviceImages):
        self.recipe, self._mesh = recipe, mesh
        self._programs = Programs(recipe, self._mesh)
        self._train_data, self._test_data = train, test
        self._state = self._programs.init(SEED)
        self._order = self._programs.epoch_order(SEED, np.int32(0))
        self._train: Any = None
        self._evaluate: Any = None
        self._step = 0

    @classmethod
    def of_case(cls, case: Case, dtype: Any, mesh: Mesh | None = None) -> "Ours":
        """Returns the programs of a case of the suite, on random data; by default everywhere."""
        train, test = random_splits(case)
        return cls.of_splits(make_recipe(case, dtype), train, test, mesh)

    @classmethod
    def of_splits(
        cls, recipe: Recipe, train: Split, test: Split, mesh: Mesh | None = None
    ) -> "Ours":
        """Returns the programs of a recipe, with its data put on the devices."""
        mesh = mesh or make_mesh()
        on_devices = replicated(mesh)
        return cls(recipe, mesh, *(on_device.put(split, on_devices) for split in (train, test)))

    def plain(self) -> "Ours":
        """Returns the same without augmentation: itself, where it has none."""
        none = Augmentation()
        if self.recipe.augmentation == none:
            return self
        recipe = dataclasses.replace(self.recipe, augmentation=none)
        return Ours(recipe, self._mesh, self._train_data, self._test_data)

    def compile(self) -> dict[str, float]:
        """Compiles training and evaluation; returns the seconds it took without and with a cache.

        The cache is a fresh one: written by one compilation and read by the next.
        """
        with cached_in(None):
            cold = self.compile_once()
        with temporary_folder() as folder, cached_in(str(folder)):
            self.compile_once()
            return {"cold": cold, "cached": self.compile_once()}

    def compile_once(self) -> float:
        """Compiles training and evaluation; returns the seconds."""
        jax.clear_caches()
        self._programs = Programs(self.recipe, self._mesh)
        start = time.perf_counter()
        arguments = (self._state, SEED, self._batches(), np.int32(0))
        self._train, self._evaluate = aot(
            self.recipe,
            (self._programs.train, arguments),
            (self._programs.evaluate, (self._state.variables, self._test_data)),
        )
        return time.perf_counter() - start

    def steps(self, count: int) -> float:
        """Trains `count` steps in one compiled call; returns the seconds they took."""
        if self._step + count > self.recipe.steps_per_epoch:
            self._rewind()
        start = time.perf_counter()
        self._run(self._step + count)
        return time.perf_counter() - start

    def epoch(self) -> float:
        """An epoch from its order to its metrics on train and test; returns the seconds."""
        self._rewind()
        start = time.perf_counter()
        self._order = self._programs.epoch_order(SEED, np.int32(1))
        self._run(self.recipe.steps_per_epoch)
        self._state.metrics.compute()
        self._evaluate(self._state.variables, self._test_data).compute()
        return time.perf_counter() - start

    def _run(self, stop: int) -> None:
        self._state = self._train(self._state, SEED, self._batches(), np.int32(stop))
        self._step = int(self._state.step)
        if self._step != stop:
            raise UserError(
                f"the numbers of step {self._step + 1} are not finite, so that there is nothing to "
                "time; lower config.optim.learning_rate"
            )

    def _batches(self) -> AtRest:
        return AtRest(self._train_data, self._order, np.int32(0))

    def _rewind(self) -> None:
        self._state, self._step = self._programs.init(SEED), 0

    def share_outside_products(self) -> float | None:
        """Returns the share of a few steps' time outside matrix products; None but on a CPU."""
        return share_outside_products(self._train, lambda: self.steps(_PROFILED_STEPS))

    def peak_bytes(self) -> dict[str, int]:
        """Returns the device memory that training needs: predicted, and where known measured."""
        predicted = memory.peak_bytes(self._train)
        stats = jax.local_devices()[0].memory_stats() or {}
        measured = stats.get("peak_bytes_in_use")
        return {"predicted": predicted} | ({"measured": measured} if measured else {})


@contextlib.contextmanager
def cached_in(folder: str | None) -> Iterator[None]:
    """Keeps compiled programs in `folder` alone, which is removed afterwards; None: nowhere."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    try:
        jax.config.update(names[0], folder)
        jax.config.update(names[1], 0.0)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        if folder:
            shutil.rmtree(folder)
