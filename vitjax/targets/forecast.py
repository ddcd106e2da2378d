"""What a run will take: of its config, and of the chips that it is compiled for."""

import jax
from ml_collections import ConfigDict

from vitjax.data.on_device import bytes_of, image_bytes
from vitjax.data.stream import CHUNKS_AHEAD, chunk_steps
from vitjax.targets import chips
from vitjax.targets.chips import Target
from vitjax.targets.figures import DoesNotFit, Figures, compile_for
from vitjax.targets.stages import programs
from vitjax.targets.topology import devices_of
from vitjax.training.ahead import memory, preflight
from vitjax.training.placement.sharding import data_shards, num_parts
from vitjax.training.progress import Say
from vitjax.training.setup import Setup


def check(config: ConfigDict, target_name: str = "", say: Say = print) -> list[str]:
    """Looks over a config, for chips that need not be there if a target is named.

    Says what the run is and what it will take; returns its problems. Raises UserError where the
    target is unknown or its compiler is not installed.
    """
    if not target_name:
        devices = jax.devices()
        limit = memory.limit_bytes(jax.local_devices()[0])
        problems = preflight.report(config, devices, say, limit).problems
    else:
        problems = _check_for(config, chips.parse(target_name), say)
    preflight.tell(problems, say)
    return problems


def _check_for(config: ConfigDict, target: Target, say: Say) -> list[str]:
    devices = devices_of(target)
    if config.dtype == "auto":
        config = ConfigDict(config)
        config.dtype = target.chip.dtype
    found = preflight.report(config, devices, say, target.chip.usable_memory)
    if found.wrong or found.outline is None:
        say(f"target    {target}: compiled when all of the above is known and right")
        return found.problems
    setup = found.setup(config)
    say(f"target    {target}: compiling, a minute or two")
    shape, streamed = found.outline.image_shape, setup.streams
    epoch = programs(setup.recipe, setup.mesh, shape, streamed)["epoch"]
    try:
        _, figures = compile_for(target, setup.mesh, epoch)
    except DoesNotFit as error:
        return [*found.problems, _does_not_fit(error.needed, setup, target)]
    needed = figures.peak_bytes + _other_bytes(setup)
    for line in _lines(setup, target, figures, needed):
        say(line)
    if needed <= target.chip.usable_memory:
        return found.problems
    return [*found.problems, _does_not_fit(f"{memory.gib(needed)} GiB", setup, target)]


def _other_bytes(setup: Setup) -> int:
    """Returns what lies on each chip besides what training takes: other splits, or chunks ahead."""
    recipe, dataset = setup.recipe, setup.dataset
    if setup.streams:
        each = image_bytes(dataset.image_shape) * recipe.batch_size // data_shards(setup.mesh)
        return CHUNKS_AHEAD * chunk_steps(recipe.batch_size, dataset.image_shape) * each
    return sum(bytes_of(split) for name, split in dataset.splits.items() if name != "train")


def _does_not_fit(needed: str, setup: Setup, target: Target) -> str:
    recipe, limit = setup.recipe, target.chip.usable_memory
    data = bytes_of(setup.dataset.splits["train"])
    if 2 * data > limit and not setup.streams:  # which are whole on each chip
        change = "set config.data.stream to auto, or lower config.data.image_size"
    else:
        change = memory.advice(
            recipe.accumulation_steps,
            can_remat=memory.can_remat(recipe.model),
            can_split=num_parts(setup.mesh) < target.num_chips,
        )
    of_images = f", {memory.gib(data)} of them for the training images"
    return (
        f"a step on {recipe.batch_size} images needs {needed} of each {target.chip.name}, which "
        f"has {memory.gib(limit)} GiB{'' if setup.streams else of_images}; {change}"
    )


def _lines(setup: Setup, target: Target, figures: Figures, needed: int) -> list[str]:
    """Returns what the compiler tells of a step."""
    recipe = setup.recipe
    seconds = figures.bound_seconds(target.chip)
    estimated = figures.estimated_seconds(target.chip)
    by_compiler = f" ({1e3 * estimated:.3g} ms by its compiler's estimate)" if estimated else ""
    images = recipe.batch_size // recipe.accumulation_steps
    what = "step" if recipe.accumulation_steps == 1 else f"step      (micro-batch of {images})"
    code = f", {figures.code_bytes / 1e6:,.1f} MB of code" if figures.code_bytes else ""
    sent = f", {figures.collective_bytes / 1e6:,.1f} MB sent" if target.num_chips > 1 else ""
    return [
        f"memory    {memory.gib(needed)} of {memory.gib(target.chip.usable_memory)} GiB of each "
        f"chip, {memory.gib(figures.temp_bytes)} of them between the operations of a step",
        f"{what:<10}{1e3 * seconds:.3g} ms at least{by_compiler}, {images / seconds:,.0f} "
        f"images/s at most: each chip moves {figures.memory_bytes / 1e6:,.1f} MB of its memory, "
        f"computes {figures.flops / 1e9:,.1f} GFLOP{sent}",
        f"program   {figures.num_ops:,} operations{code}, compiled in "
        f"{figures.compile_seconds:.0f} s here",
    ]
