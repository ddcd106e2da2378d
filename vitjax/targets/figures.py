"""What a compiler says of a program: its size, its memory, its work, and the time that it needs."""

import dataclasses
import re
import time
from typing import Any

import jax
from jax.experimental.layout import Format, Layout
from jax.sharding import Mesh

from vitjax.errors import UserError
from vitjax.targets import hlo
from vitjax.targets.chips import Chip, Target
from vitjax.targets.collectives import sent
from vitjax.targets.products import product_flops
from vitjax.targets.stages import Stage
from vitjax.targets.topology import compiler_options
from vitjax.training.ahead.memory import peak_bytes
from vitjax.training.placement.sharding import replicated

_LARGEST = 10  # arrays that the padding is told of
_NEEDED = re.compile(r"\(([\d.]+)([KMGT])\)")  # the first such in XLA's words: 37.25G


class DoesNotFit(UserError):
    """A program needs more memory than a chip has."""

    def __init__(self, needed: str, chip: Chip):
        super().__init__(
            f"the program needs {needed} of memory, more than the {chip.memory / 2**30:.3g} GiB of "
            f"a {chip.name}"
        )
        self.needed = needed


@dataclasses.dataclass(frozen=True)
class Figures:
    """A program on one chip, as its compiler sees it; a loop over batches: one pass of it."""

    compile_seconds: float
    code_bytes: int
    argument_bytes: int
    temp_bytes: int
    peak_bytes: int  # of the chip's memory: arguments, results and what lies between
    bytes: float  # read and written as the compiler counts, on the chip too
    memory_bytes: int  # read from and written to the chip's memory
    once_bytes: int  # of the same, those of what comes before and after the loop
    flops: float  # as a TPU's compiler counts; elsewhere those of matrix products
    cycles: int  # as a TPU's compiler estimates that the operations take, one after another
    num_ops: int  # operations on a TPU, kernels on a GPU
    collective_bytes: int  # that a chip sends to others
    alone_bytes: int  # of the same: while it computes nothing
    largest_bytes: int  # of the elements of the largest arrays
    padded_bytes: int  # that these arrays take

    @property
    def padding(self) -> float:
        """How many times the bytes of their elements the largest arrays take."""
        return self.padded_bytes / self.largest_bytes if self.largest_bytes else 1.0

    def bound_seconds(self, chip: Chip) -> float:
        """Returns the least time of a pass: memory, products or links, whichever takes longest.

        What a chip sends while it computes nothing comes on top.
        """
        beside = (self.collective_bytes - self.alone_bytes) / chip.link
        on_chip = max(self.memory_bytes / chip.bandwidth, self.flops / chip.flops, beside)
        return on_chip + self.alone_bytes / chip.link

    def estimated_seconds(self, chip: Chip) -> float | None:
        """Returns how long a pass takes as the chip's compiler estimates, where it does."""
        return self.cycles / chip.clock if self.cycles and chip.clock else None


def compile_for(target: Target, mesh: Mesh, stage: Stage) -> tuple[Any, Figures]:
    """Compiles a stage for the chips of `mesh`; arrays without a sharding are whole on each.

    Returns the compiled program too. Raises UserError where it does not fit into memory.
    """
    start = time.perf_counter()
    try:
        traced = _trace(mesh, stage)
        compiled = traced.lower().compile(compiler_options=compiler_options(target))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        needed = _NEEDED.search(str(error))
        text = f"{needed[1]} {needed[2]}iB" if needed else "much"
        raise DoesNotFit(text, target.chip) from None
    seconds = time.perf_counter() - start
    flops = product_flops(traced.jaxpr.jaxpr) / mesh.size  # batches are split over the chips
    return compiled, _figures(compiled, seconds, flops, stage.loop, mesh.size)


def _trace(mesh: Mesh, stage: Stage) -> Any:
    shardings = jax.tree.map(lambda x: x.sharding or replicated(mesh), stage.arguments)
    if not stage.free:
        arguments = jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            stage.arguments,
            shardings,
        )
        # What training compiles is compiled as it is, with its state donated.
        compiles = hasattr(stage.function, "trace")
        function: Any = stage.function if compiles else jax.jit(stage.function)
        return function.trace(*arguments)
    formats = jax.tree.map(lambda sharding: Format(Layout.AUTO, sharding), shardings)
    plain = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), stage.arguments)
    free = jax.jit(stage.function, in_shardings=formats, out_shardings=Format(Layout.AUTO))
    return free.trace(*plain)


def _figures(compiled: Any, seconds: float, flops: float, is_loop: bool, num_chips: int) -> Figures:
    memory, whole = compiled.memory_analysis(), hlo.read(compiled.as_text())
    program = whole.loop() if is_loop else whole
    ran, from_memory, links = program.operations(), program.memory_bytes(), sent(program, num_chips)
    arrays = [array for operation in ran for array in operation.results]
    largest = sorted(arrays, key=lambda array: -array.padded_bytes)[:_LARGEST]
    cost = compiled.cost_analysis() or {}
    return Figures(
        compile_seconds=seconds,
        code_bytes=memory.generated_code_size_in_bytes,
        argument_bytes=memory.argument_size_in_bytes,
        temp_bytes=memory.temp_size_in_bytes,
        peak_bytes=peak_bytes(compiled),
        bytes=cost.get("bytes accessed") or float(from_memory),
        memory_bytes=from_memory,
        once_bytes=whole.memory_bytes() - from_memory,
        flops=cost.get("flops") or flops,
        cycles=program.cycles(),
        num_ops=len(ran),
        collective_bytes=links.total,
        alone_bytes=links.alone,
        largest_bytes=sum(array.num_bytes for array in largest),
        padded_bytes=sum(array.padded_bytes for array in largest),
    )
