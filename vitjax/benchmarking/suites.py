"""From a suite to its results, with what they were measured on."""

import contextlib
import importlib.metadata
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from vitjax.benchmarking import member_scaling, token_scaling
from vitjax.benchmarking.cases import SEEDS, Case
from vitjax.benchmarking.measure import COMPILED, matmul_peak, measure
from vitjax.benchmarking.ours import Ours
from vitjax.benchmarking.speed_tables import (
    attention_lines,
    case_line,
    header,
    start_line,
    stream_lines,
    sweep_lines,
)
from vitjax.benchmarking.start import measure_start
from vitjax.benchmarking.stream_rate import measure_stream
from vitjax.benchmarking.worker import Worker
from vitjax.errors import UserError
from vitjax.machine.host import num_cores
from vitjax.training.setup import compute_dtype

Say = Callable[[str], None]
_VERSIONS = ("jax", "flax", "optax", "torch", "vit-pytorch", "linformer", "mlp-mixer-pytorch")
_EPOCH_ROUNDS = 3


def seeds(only: Sequence[str], with_peers: bool, rounds: int, say: Say) -> dict[str, Any]:
    """Measures the seeds' models, all or `only` some; raises UserError for an unknown name."""
    platform_name = jax.default_backend()
    cases = {
        name: case.on(platform_name)
        for name, case in SEEDS.items()
        if name in only or (not only and (platform_name != "cpu" or not case.gpu_only))
    }
    _check(only, SEEDS)
    dtype = compute_dtype("auto")
    peak = matmul_peak(dtype)
    say(header(_conditions(), peak))
    results = {}
    for name, case in cases.items():
        ours = Ours.of_case(case, dtype)
        with _peers(case, with_peers) as peers:
            results[name] = measure(
                ours, peers, rounds=rounds, epoch_rounds=min(rounds, _EPOCH_ROUNDS), peak=peak
            )
        say(case_line(name, results[name]))
    return {**_conditions(), "matmul_peak": peak, "results": results}


def config(options: Any, rounds: int, say: Say) -> dict[str, Any]:
    """Measures the run that a ConfigDict describes, on its data."""
    from vitjax.training.setup import prepare

    setup = prepare(options, say)
    peak = matmul_peak(setup.recipe.model.dtype)
    splits = setup.dataset.splits
    held_out = splits["valid" if "valid" in splits else "test"]
    ours = Ours.of_splits(setup.recipe, splits["train"], held_out)
    say(header(_conditions(), peak))
    epoch_rounds = min(rounds, _EPOCH_ROUNDS)
    result = measure(ours, {}, rounds=rounds, epoch_rounds=epoch_rounds, peak=peak)
    say(case_line(options.model_name, result))
    return {**_conditions(), "matmul_peak": peak, "results": {options.model_name: result}}


def attention(only: Sequence[str], rounds: int, say: Say) -> dict[str, Any]:
    """Measures ViT and Linformer at growing numbers of tokens."""
    _check(only, [str(side) for side in token_scaling.SIDES])
    sides = [int(side) for side in only] or token_scaling.SIDES
    batch_size = 2 if jax.default_backend() == "cpu" else 32
    points = token_scaling.scaling(
        compute_dtype("auto"), sides=sides, batch_size=batch_size, rounds=rounds
    )
    crossing = token_scaling.crossing(points)
    results = {**_conditions(), "points": points, "crossing_tokens": crossing}
    say("\n".join(attention_lines(results)))
    return results


def sweep(only: Sequence[str], rounds: int, say: Say) -> dict[str, Any]:
    """Measures members of a sweep together, and one after another."""
    _check(only, [str(size) for size in member_scaling.SIZES])
    sizes = [int(size) for size in only] or member_scaling.SIZES
    points = member_scaling.sweep(compute_dtype("auto"), sizes=sizes, rounds=rounds)
    results = {**_conditions(), "points": points}
    say("\n".join(sweep_lines(results)))
    return results


def start(rounds: int, say: Say) -> dict[str, Any]:
    """Measures the default run's start, in processes of its own."""
    seconds = measure_start(rounds)
    results = {**_conditions(), "seconds": seconds}  # JAX here takes its device only now
    say(start_line(results))
    return results


def stream(rounds: int, say: Say) -> dict[str, Any]:
    """Measures how fast images that do not fit into memory are read."""
    results = {**_conditions(), "points": measure_stream(rounds)}
    say("\n".join(stream_lines(results)))
    return results


def _check(only: Sequence[str], known: Any) -> None:
    for name in only:
        if name not in known:
            raise UserError(f"--only={name} is not in the suite, which has {', '.join(known)}")


@contextlib.contextmanager
def _peers(case: Case, wanted: bool) -> Iterator[dict[str, Worker]]:
    """Yields PyTorch as it is and compiled, each in its own process; nothing unless `wanted`."""
    cores = num_cores()
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Worker(case, compiled=name == COMPILED, num_threads=cores, num_workers=cores)
            )
            for name in (("eager", COMPILED) if wanted else ())
        }


def _conditions() -> dict[str, Any]:
    """Returns what the figures depend on."""
    device = jax.local_devices()[0]
    versions = {}
    for name in _VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "platform": device.platform,
        "hardware": f"{device.device_kind}, {num_cores()} {platform.machine()} cores",
        "versions": versions,
    }
