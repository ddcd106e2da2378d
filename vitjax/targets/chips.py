"""The devices that programs can be compiled for, with the figures that their makers publish."""

import dataclasses
import re
from typing import Literal

from vitjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Chip:
    """One device."""

    name: str
    platform: Literal["tpu", "cuda"]
    dtype: str  # what it computes fastest in, of float32 and bfloat16
    flops: float  # a second, in products of that dtype
    bandwidth: float  # bytes a second, of its memory
    memory: int  # bytes; of a TPU those that its compiler gives out
    link: float  # bytes a second that it sends to its neighbours
    clock: float | None = None  # cycles a second, where `flops` and the number of MXUs tell it

    @property
    def usable_memory(self) -> int:
        """The bytes that programs may take: of a GPU JAX leaves a quarter alone."""
        return self.memory if self.platform == "tpu" else self.memory * 3 // 4


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", "tpu", "bfloat16", 197e12, 819e9, int(15.75 * 2**30), 200e9, 1.5e9),
        Chip("v6e", "tpu", "bfloat16", 918e12, 1_640e9, int(31.25 * 2**30), 448e9),
        Chip("t4", "cuda", "float32", 8.1e12, 320e9, 16 * 10**9, 32e9),
        Chip("a100", "cuda", "bfloat16", 312e12, 2_039e9, 80 * 10**9, 300e9),
        Chip("h100", "cuda", "bfloat16", 989e12, 3_350e9, 80 * 10**9, 450e9),
        Chip("h200", "cuda", "bfloat16", 989e12, 4_800e9, 141 * 10**9, 450e9),
    )
}
MAX_CHIPS = 256


@dataclasses.dataclass(frozen=True)
class Target:
    """Chips of one kind, in a grid (TPU) or on one switch (GPU)."""

    chip: Chip
    shape: tuple[int, ...]  # (2, 4) of v5e:2x4; (8,) of h200x8

    @property
    def num_chips(self) -> int:
        """How many chips there are."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    def __str__(self) -> str:
        if self.chip.platform == "tpu":
            return f"{self.chip.name}:" + "x".join(map(str, self.shape))
        return self.chip.name + (f"x{self.num_chips}" if self.num_chips > 1 else "")


def parse(text: str) -> Target:
    """Returns the target that a text names: v5e, v5e:2x4, h200, h200x8; raises UserError."""
    tpu = re.fullmatch(r"(v\d+\w*?)(?::(\d+)x(\d+))?", text)
    gpu = re.fullmatch(r"([a-z]+\d+)(?:x(\d+))?", text)
    if tpu and tpu[1] in CHIPS:
        target = Target(CHIPS[tpu[1]], (int(tpu[2] or 1), int(tpu[3] or 1)))
    elif gpu and gpu[1] in CHIPS:
        target = Target(CHIPS[gpu[1]], (int(gpu[2] or 1),))
    else:
        raise UserError(
            f"--target={text} is unknown; expected one of {', '.join(CHIPS)}, with a number of "
            "chips where there are several: v5e:2x4, h200x8"
        )
    if not 1 <= target.num_chips <= MAX_CHIPS:
        raise UserError(f"--target={text} has {target.num_chips} chips; expected 1 to {MAX_CHIPS}")
    return target
