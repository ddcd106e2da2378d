"""A figure of what attention costs over the number of tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from vitjax.reporting.figures import BLUE, ORANGE, Picture, new_axes, new_figure

_MODELS = {"vit": ("ViT", BLUE), "linformer": ("Linformer", ORANGE)}


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
