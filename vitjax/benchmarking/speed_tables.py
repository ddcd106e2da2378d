"""Results of benchmarks as text: lines for the terminal, the page README.md beside this file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitjax.benchmarking import prediction_tables

_GOOD_RATIO = 1.5  # of PyTorch's epoch to ours
RESULTS = Path(__file__).parent / "results"  # written by --json=SUITE_MACHINE.json
_TITLES = {
    "seeds": "The published models",
    "attention": "ViT and Linformer as tokens grow",
    "sweep": "Members of a sweep together",
    "start": "From the command to the first step",
    "stream": "Images that do not fit into memory",
}
_INTRODUCTION = """\
<!-- written by: python -m vitjax.benchmark --markdown > vitjax/benchmarking/README.md -->
# Speed: vitjax beside PyTorch

An epoch is one compiled program: order, augmentation, steps and metrics on the device, evaluation
in a second one. Compiled programs are kept, so that the next run starts at once. How fast that is
on your machine, model by model:

```bash
python -m vitjax.benchmark --only=vit_light --rounds=2
```

`--suite=seeds --peers` (extra `[bench]`) measures the models of the published works that vitjax
rebuilds beside what one would use instead in PyTorch: vit-pytorch, linformer, mlp-mixer-pytorch and
torch's own encoder, as they are and by `torch.compile`, each in a process of its own. The images
are random. vitjax and its peers take turns in one run and the ratios are medians over the turns, so
that they hold on a busy machine, where an absolute time means little. A step is compared without
augmentation; an epoch, with evaluation, is ours with augmentation on the device against a
`DataLoader` with PIL transforms in one worker for each core.

`--suite=attention` compares ViT with Linformer as tokens grow, `--suite=sweep` members of a sweep
together with the same members one after another, `--suite=start` times the wait for the first step,
`--suite=stream` the reading of images that do not fit into memory, `--config=FILE` a run of yours.

A step takes at least the time of its matrix products. What a ViT's step spends "outside products"
on a CPU is mostly softmax, transpositions around attention, activations and norms. Below the table
stands what that means where an epoch gains less than half. vit_mnist gains least, and takes longer
than what torch compiles: outside its products no single operation takes more than 6 % of a step.

Figures measured on GPUs and TPUs are pending: none has been at hand.
`python -m vitjax.benchmark --suite=seeds --peers --json=OUT` is all that it takes; no data and no
network are needed. What XLA's compilers predict for them stands at the end:
`--suite=tpu --target=v5e` and `--suite=gpu --target=h200` compile the same models, and others that
fine-tune, for a device that need not be there ([Accelerators](../docs/accelerators.md)).
"""

_OF_STREAMS = (
    "JPEG files of 424 x 424 pixels, of which the central 224 x 224 are brought to the device in "
    "batches of 64, read by a thread for each core, beside as many threads that only decode:"
)


def header(conditions: Mapping[str, Any], peak: float) -> str:
    """Returns what the figures below it were measured on."""
    return f"{conditions['hardware']}; a large matrix product runs at {peak / 1e9:,.0f} GFLOP/s"


def case_line(name: str, result: Mapping[str, Any]) -> str:
    """Returns one model's figures, and each peer's ratio to them, in a line or two."""
    step, compiled = result["step_seconds"], result["compile_seconds"]
    peak = result["peak_bytes"].get("measured", result["peak_bytes"]["predicted"])
    lines = [
        f"{name}: {result['params']:,} parameters, {result['macs']:,} MACs, batch "
        f"{result['batch_size']}, {result['dtype']}",
        f"  step {_range(step)}, {result['images_per_second']:,.0f} images/s, "
        f"{100 * result['share_of_matmul_peak']:.0f} % of the matmul peak"
        f"{_outside_products(result)}, "
        f"{peak / 2**20:,.0f} MiB; augmentation adds {100 * result['augmentation_share']:.0f} %",
        f"  compiling {compiled['cold']:.1f} s, {compiled['cached']:.1f} s from the cache",
        f"  epoch of {result['train_images']:,} images {_range(result['epoch_seconds'])}",
    ]
    for peer, theirs in result["peers"].items():
        line = (
            f"  PyTorch {peer} ({theirs['num_params']:,} parameters): step "
            f"{_range(theirs['step_seconds'])}, ratio {theirs['step_ratio']:.2f}"
        )
        if "epoch_ratio" in theirs:
            epoch = _range(theirs["epoch_seconds"])
            line += f"; epoch {epoch}, ratio {theirs['epoch_ratio']:.2f}"
        lines.append(line)
    return "\n".join(lines)


def _range(seconds: Mapping[str, float]) -> str:
    scale, unit = (1e3, "ms") if seconds["median"] < 1 else (1, "s")
    low, median, high = (scale * seconds[key] for key in ("low", "median", "high"))
    return f"{median:.3g} {unit} ({low:.3g} to {high:.3g})"


def _outside_products(result: Mapping[str, Any]) -> str:
    """Returns how much of the step is no matrix product, where it is known."""
    share = _percent(result["share_outside_products"])
    return f" ({share} of the time outside products)" if share else ""


def _ms(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:,.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"


def attention_lines(results: Mapping[str, Any]) -> list[str]:
    """Returns a Markdown table of step time and memory over tokens, and where the lines cross."""
    rows = [
        "| tokens | ViT step | Linformer step | ratio | ViT memory | Linformer memory |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for point in results["points"]:
        vit, linformer = (point[name] for name in ("vit", "linformer"))
        times = [p["step_seconds"]["median"] for p in (vit, linformer)]
        memory = [p["peak_bytes"]["predicted"] / 2**20 for p in (vit, linformer)]
        rows.append(
            f"| {point['tokens']:,} | {_ms(times[0])} | {_ms(times[1])} | "
            f"{times[0] / times[1]:.2f} | {memory[0]:,.0f} MiB | {memory[1]:,.0f} MiB |"
        )
    tokens = results["crossing_tokens"]
    rows += ["", f"Linformer is faster from {tokens:,} tokens on." if tokens else "ViT is faster."]
    return rows


def sweep_lines(results: Mapping[str, Any]) -> list[str]:
    """Returns a Markdown table of what members of a sweep take together."""
    rows = [
        "| members | step of one alone | step of all together | faster than one after another | "
        "as long as one |",
        "|---:|---:|---:|---:|---:|",
    ]
    for point in results["points"]:
        alone, together = (point["step_seconds"][name]["median"] for name in ("alone", "together"))
        rows.append(
            f"| {point['members']} | {_ms(alone)} | {_ms(together)} | "
            f"{point['times_faster']:.2f}x | {point['as_long_as_one']:.1f}x |"
        )
    return rows


def start_line(results: Mapping[str, Any]) -> str:
    """Returns how long the default run takes to its first step and to its first epoch's end."""
    (cold, cold_epoch), (cached, cached_epoch) = (
        [_range(results["seconds"][name][event]) for event in ("first_step", "first_epoch")]
        for name in ("cold", "cached")
    )
    return (
        f"From the command `python -m vitjax.main` to its first step: {cold} with nothing compiled "
        f"before, {cached} with the programs of an earlier run; to the end of its first epoch of "
        f"40 steps: {cold_epoch} and {cached_epoch}."
    )


def stream_lines(results: Mapping[str, Any]) -> list[str]:
    """Returns a Markdown table of how fast images are streamed."""
    rows = [
        "| images | streamed to the device | decoding alone | streamed / decoding | peak memory |",
        "|---:|---:|---:|---:|---:|",
    ]
    for point in results["points"]:
        rates = [point["images_per_second"][name]["median"] for name in ("stream", "decoding")]
        rows.append(
            f"| {point['images']:,} | {rates[0]:,.0f} images/s | {rates[1]:,.0f} images/s | "
            f"{point['share']:.2f} | {point['peak_bytes'] / 2**20:,.0f} MiB |"
        )
    return rows


def markdown() -> str:
    """Returns the page, from the result files that come with vitjax."""
    parts = [_INTRODUCTION]
    for path in sorted(RESULTS.glob("seeds_*.json")):
        parts += _seeds_section(json.loads(path.read_text()))
    for path in sorted(RESULTS.glob("attention_*.json")):
        parts += _attention_section(json.loads(path.read_text()))
    for path in sorted(RESULTS.glob("sweep_*.json")):
        parts += _sweep_section(json.loads(path.read_text()))
    for path in sorted(RESULTS.glob("start_*.json")):
        results = json.loads(path.read_text())
        parts += [*_heading("start", results), start_line(results), ""]
    for path in sorted(RESULTS.glob("stream_*.json")):
        results = json.loads(path.read_text())
        parts += [*_heading("stream", results), _OF_STREAMS, "", *stream_lines(results), ""]
    parts += prediction_tables.sections(RESULTS)
    return "\n".join(parts).rstrip()


def _seeds_section(results: Mapping[str, Any]) -> list[str]:
    lines = [
        *_heading("seeds", results),
        "| model | parameters | batch | step | of matmul peak | outside products | "
        "PyTorch / vitjax: step | compiled | epoch |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, r in results["results"].items():
        peers = r["peers"]
        ratios = (
            _ratio(peers, "eager", "step_ratio"),
            _ratio(peers, "compiled", "step_ratio"),
            _ratio(peers, "eager", "epoch_ratio"),
        )
        lines.append(
            f"| {name} | {r['params']:,} | {r['batch_size']} | "
            f"{_ms(r['step_seconds']['median'])} | "
            f"{100 * r['share_of_matmul_peak']:.0f} % | {_percent(r['share_outside_products'])} | "
            f"{' | '.join(ratios)} |"
        )
    return [*lines, "", *_bounds(results["results"])]


def _bounds(results: Mapping[str, Any]) -> list[str]:
    """Says what bounds the models whose epoch is less than _GOOD_RATIO times as fast as PyTorch."""
    lines = []
    for name, r in results.items():
        eager, outside = r["peers"].get("eager"), r["share_outside_products"]
        if eager is None or outside is None or eager["epoch_ratio"] >= _GOOD_RATIO:
            continue
        inside = 1 - outside
        lines.append(
            f"- {name}: {_percent(inside)} of a step are matrix products, at "
            f"{_percent(r['share_of_matmul_peak'] / inside)} of the machine's peak; a step of "
            f"nothing else would be {eager['step_ratio'] / inside:.2f} times as fast as PyTorch's"
        )
    return [*lines, ""] if lines else []


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _ratio(peers: Mapping[str, Any], name: str, key: str) -> str:
    return f"{peers[name][key]:.2f}" if name in peers else ""


def _attention_section(results: Mapping[str, Any]) -> list[str]:
    batch = results["points"][0]["batch_size"]
    return [
        *_heading("attention", results),
        f"Two layers of width 128, batch {batch}, Linformer with k = 64:",
        "",
        *attention_lines(results),
        "",
    ]


def _sweep_section(results: Mapping[str, Any]) -> list[str]:
    first = results["points"][0]
    return [
        *_heading("sweep", results),
        f"Members of a sweep of {first['case']}, batch {first['batch_size']}:",
        "",
        *sweep_lines(results),
        "",
    ]


def _heading(suite: str, results: Mapping[str, Any]) -> Sequence[str]:
    """Says what was measured, by which command and on what."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    by = f"`{results['command']}` on {results['hardware']}; {versions}:"
    return [f"## {_TITLES[suite]}", "", by, ""]
