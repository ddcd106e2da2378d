"""Times vitjax and its peers turn by turn, so that what disturbs one disturbs the others."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from vitjax import models
from vitjax.benchmarking.ours import Ours
from vitjax.benchmarking.worker import Worker

COMPILED = "compiled"  # the peer whose epoch is not timed: its loader is that of the other
_AUGMENTED = "augmented"
_TURN_SECONDS = 0.5  # of steps in one turn: long beside what starting and waiting cost
_MATMUL_SIZES = {"cpu": 2048}  # of the square matrices; elsewhere 8192


class Trainer(Protocol):
    """What is timed."""

    def steps(self, count: int) -> float:
        """Trains `count` steps; returns the seconds."""

    def epoch(self) -> float:
        """Trains and evaluates an epoch; returns the seconds."""


def matmul_peak(dtype: Any) -> float:
    """Returns the FLOP/s of a large matrix product in `dtype`, the best of ten."""
    size = _MATMUL_SIZES.get(jax.default_backend(), 8192)
    a = jax.random.normal(jax.random.key(0), (size, size), dtype)
    product = jax.jit(jnp.dot)
    product(a, a).block_until_ready()
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def measure(
    ours: Ours, peers: Mapping[str, Worker], *, rounds: int, epoch_rounds: int, peak: float
) -> dict[str, Any]:
    """Returns what one model takes by vitjax, and how many times longer by each of `peers`.

    A step is timed without augmentation, which peers do in their loaders; epochs have it. `peak` is
    the device's matmul_peak. Everything is run once before it is timed.
    """
    recipe = ours.recipe
    compile_seconds = ours.compile()
    plain = ours.plain()
    trainers: dict[str, Trainer] = {"vitjax": plain, **peers}
    if plain is not ours:
        plain.compile_once()
        trainers[_AUGMENTED] = ours
    steps = in_turn(
        {name: _turn(trainer, recipe.steps_per_epoch) for name, trainer in trainers.items()}, rounds
    )
    epoch_trainers: dict[str, Trainer] = {
        "vitjax": ours,
        **{n: p for n, p in peers.items() if n != COMPILED},
    }
    epochs = in_turn({name: t.epoch for name, t in epoch_trainers.items()}, epoch_rounds)
    macs = models.num_macs(recipe.model, recipe.image_shape)
    step = summary(steps["vitjax"])
    flops = 3 * 2 * macs * recipe.batch_size / step["median"]  # backward is twice the forward
    return {
        "params": models.num_params(models.abstract_params(recipe.model, recipe.image_shape)),
        "macs": macs,
        "dtype": jnp.dtype(recipe.model.dtype).name,
        "batch_size": recipe.batch_size,
        "train_images": recipe.num_examples,
        "compile_seconds": compile_seconds,
        "step_seconds": step,
        "augmentation_share": ratio(steps.get(_AUGMENTED, steps["vitjax"]), steps["vitjax"]) - 1,
        "images_per_second": recipe.batch_size / step["median"],
        "flops_per_second": flops,
        "share_of_matmul_peak": flops / peak,
        "share_outside_products": plain.share_outside_products(),
        "peak_bytes": ours.peak_bytes(),
        "epoch_seconds": summary(epochs["vitjax"]),
        "peers": {
            name: {
                **worker.network,
                "step_seconds": summary(steps[name]),
                "step_ratio": ratio(steps[name], steps["vitjax"]),
                **_epoch(epochs, name),
            }
            for name, worker in peers.items()
        },
    }


def _epoch(epochs: Mapping[str, list[float]], name: str) -> dict[str, Any]:
    """Returns a peer's epochs; {} where they were not measured."""
    if name not in epochs:
        return {}
    return {
        "epoch_seconds": summary(epochs[name]),
        "epoch_ratio": ratio(epochs[name], epochs["vitjax"]),
    }


def _turn(trainer: Trainer, most: int) -> Callable[[], float]:
    """Returns what times one turn of enough steps, at most `most`: the seconds of a step."""
    trainer.steps(1)
    count = max(1, min(most, int(_TURN_SECONDS / max(trainer.steps(1), 1e-6))))
    return lambda: trainer.steps(count) / count


def in_turn(functions: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Returns what each function said in `rounds` rounds, after one that does not count."""
    for function in functions.values():
        function()
    said: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            said[name].append(function())
    return said


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Returns the median and the extremes."""
    return {"median": statistics.median(seconds), "low": min(seconds), "high": max(seconds)}


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Returns how many times longer they took: the median over the rounds."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
