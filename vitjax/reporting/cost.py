"""What a model costs: parameters, multiply-accumulates, time and memory."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vitjax.reporting.drawing import BLUE, ORANGE, new_axes, new_figure
from vitjax.reporting.page import Picture, Section, html_table, note

_MODELS = {"vit": ("ViT", BLUE), "linformer": ("Linformer", ORANGE)}


class PartCost(NamedTuple):
    """Of one part of a model, over all blocks that have it."""

    part: str  # block_* for all blocks
    num_params: int
    num_macs: int


def part_costs(params: Any, macs: Mapping[str, int]) -> list[PartCost]:
    """Returns the cost of each part, from parameters and MACs by the path of their module.

    Parts are the model's modules, in the order in which the image meets them as far as MACs tell;
    a stack of blocks is taken apart once, into what each block holds.
    """
    sizes: dict[str, int] = {}
    for keys, value in jax.tree_util.tree_leaves_with_path(params):
        part = _part("/".join(key.key for key in keys))
        sizes[part] = sizes.get(part, 0) + int(np.prod(value.shape))
    products: dict[str, int] = {}
    for path, count in macs.items():
        products[_part(path)] = products.get(_part(path), 0) + count
    parts = dict.fromkeys([*products, *sizes])
    return [PartCost(part, sizes.get(part, 0), products.get(part, 0)) for part in parts]


def _part(path: str) -> str:
    """Returns encoder/block_*/mlp for encoder/block_3/mlp/in/kernel, and head for head/logits.

    Of a stage, what is not in its blocks is a part too.
    """
    block = re.match(r"(.*?)block_\d+/([^/]+)", path)
    if block:
        return f"{block[1]}block_*/{block[2]}"
    first, *rest = path.split("/")
    return f"{first}/{rest[0]}" if first.startswith("stage_") else first


def cost_section(
    params: Any, macs: Mapping[str, int], lines: Sequence[Mapping[str, Any]]
) -> Section:
    """Parameters and MACs of each part of the model, and the speed of training."""
    parts = part_costs(params, macs)
    num_params, num_macs = sum(c.num_params for c in parts), sum(c.num_macs for c in parts)
    rows = [
        (
            c.part,
            f"{c.num_params:,}",
            f"{c.num_params / num_params:.1%}",
            f"{c.num_macs:,}",
            f"{c.num_macs / num_macs:.1%}",
        )
        for c in parts
    ]
    head = ("part", "parameters", "share", "MACs", "share")
    total = [("total", f"{num_params:,}", "", f"{num_macs:,}", "")]
    intro = (
        "MACs are the multiply-accumulates of one image's forward pass: every matrix product and "
        "convolution of the traced program, attention's included, and nothing else. block_* stands "
        "for all blocks."
    )
    items = [note(intro), html_table("Parameters and MACs by part", head, rows, total)]
    if lines:
        items.append(note(_speed(lines)))
    return Section("Parameters, MACs and speed", items)


def _speed(lines: Sequence[Mapping[str, Any]]) -> str:
    speeds = [line["images_per_second"] for line in lines]
    seconds = [line["seconds"] for line in lines]
    return (
        f"Training ran at {statistics.median(speeds):,.0f} images per second (the median epoch of "
        f"{len(lines)}; best {max(speeds):,.0f}): {statistics.median(seconds):,.1f} s an epoch "
        f"with its validation, {sum(seconds):,.0f} s in all."
    )


def scaling_picture(points: Sequence[Mapping[str, Any]], hardware: str) -> Picture:
    """Draws step time and memory of ViT and Linformer over tokens, both axes logarithmic.

    Points are those of `python -m vitjax.benchmark --suite=attention --json=FILE`. The line is the
    median of the turns, the band their extremes.
    """
    tokens = [point["tokens"] for point in points]
    figure = new_figure(8.4, 3.4)
    times = new_axes(figure, 121, title="time of a training step, ms", xlabel="tokens")
    memory = new_axes(figure, 122, title="memory of training, MiB", xlabel="tokens")
    for name, (label, color) in _MODELS.items():
        steps = [point[name]["step_seconds"] for point in points]
        low, median, high = (
            [1e3 * step[key] for step in steps] for key in ("low", "median", "high")
        )
        times.plot(tokens, median, "o-", color=color, markersize=4, label=label)
        times.fill_between(tokens, low, high, color=color, alpha=0.25, linewidth=0)
        mebibytes = [point[name]["peak_bytes"]["predicted"] / 2**20 for point in points]
        memory.plot(tokens, mebibytes, "o-", color=color, markersize=4, label=label)
    for axes in (times, memory):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.minorticks_off()
        axes.set_xticks(tokens, [f"{count:,}" for count in tokens], fontsize="small")
    times.legend(frameon=False, fontsize="small")
    batches = sorted({point["batch_size"] for point in points})
    figure.suptitle(f"batch {', '.join(map(str, batches))} on {hardware}", fontsize="small")
    ends = "; ".join(_end(points[i]) for i in dict.fromkeys((0, len(points) - 1)))
    return Picture("attention_scaling", f"Step time and memory over tokens: {ends}.", figure)


def _end(point: Mapping[str, Any]) -> str:
    times = {name: 1e3 * point[name]["step_seconds"]["median"] for name in _MODELS}
    ratio = times["vit"] / times["linformer"]
    return f"at {point['tokens']:,} tokens ViT's step takes {ratio:.2f} times Linformer's"
