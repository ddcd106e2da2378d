"""Predictions of compilers as text: lines for the terminal, sections of README.md beside this."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_RECORDED = {  # suite: name of its result file, what it is compiled for
    "tpu": ("tpu_v5e.json", "one TPU v5e"),
    "gpu": ("gpu_h200.json", "one NVIDIA H200"),
}
_BATCH_STAGES = ("gather", "augment", "forward", "gradients", "update", "evaluate")
_EXPLANATION = """\
Nothing below was measured: XLA's own compilers translated the programs for a device that was not
there, and these figures are read from what they made. A step takes at least the time that its bytes
need at the memory's bandwidth or its products at the device's peak, whichever is longer: a bound,
which a run need not reach; on a GPU it can be beaten where the cache keeps what one kernel leaves
for the next, of which its compiler does not tell. "Estimated" is the sum of the cycles that a TPU's
compiler gives each operation, one after another, at 1.5 GHz (the chip's peak over what its four
MXUs multiply in a cycle). No TPU has confirmed it; images/s go by it where it was recorded.
"Memory" counts what operations read from and
write to the device's own memory (HBM), padding included; XLA's "bytes accessed", in the result
files as `bytes`, counts a TPU's on-chip memory (VMEM) too. "Padded" is how many times their
elements' bytes the ten largest arrays of a step take. "Peak" has the data set in it, of which at
most a quarter of the memory was taken. "Compiled" was timed on two cores that did other work
too."""


def case_lines(case: Mapping[str, Any]) -> list[str]:
    """Returns what the compiler tells of a model, in a few lines."""
    epoch = case["stages"]["epoch"]
    if "does_not_fit" in epoch:
        return [
            f"{case['name']}: a step needs {epoch['does_not_fit']}, which {case['target']} lacks"
        ]
    code = f", code {_code(epoch)}" if epoch["code_bytes"] else ""
    estimate = f", {_estimate(epoch)} by the compiler's estimate" if _estimate(epoch) else ""
    parts = ", ".join(f"{name} {_megabytes(case['stages'][name])}" for name in _BATCH_STAGES)
    return [
        f"{case['name']}: a step takes {_ms(epoch)} at least{estimate}, {_rate(case)} images/s; "
        f"{epoch['flops'] / 1e9:,.1f} GFLOP, {_megabytes(epoch)} MB of memory, "
        f"{epoch['num_ops']:,} operations, padded {epoch['padding']:.2f} times, peak "
        f"{epoch['peak_bytes'] / 1e9:.2f} GB{code}, compiled "
        f"in {epoch['compile_seconds']:.0f} s",
        f"  MB of memory by stage: {parts}",
    ]


def sections(results: Path) -> list[str]:
    """Returns the sections of the page, from the result files in the folder, where there are."""
    lines = ["## Predictions for a TPU and a GPU", "", _EXPLANATION, ""]
    for suite, (file, what) in _RECORDED.items():
        lines += [f"### Predicted for {what}", ""]
        if (results / file).exists():
            lines += _tables(json.loads((results / file).read_text()))
        else:
            lines.append(
                f"Pending: `python -m vitjax.benchmark --suite={suite} "
                f"--json=vitjax/benchmarking/results/{file}` makes it, within the hour on two "
                f"cores, with the extra `[{'tpu' if suite == 'tpu' else 'cuda'}]` and without the "
                "device."
            )
        lines.append("")
    return lines


def many_chips_line(case: Mapping[str, Any]) -> str:
    """Returns what the compiler tells of a step on many chips."""
    memory, sent, step, rate = _many_chips_cells(case)
    of = f"{case['name']} on {case['target']}, data {case['data']} x fsdp {case['fsdp']}"
    if not rate:
        return f"{of}: {memory} of each chip"
    return f"{of}: {memory} of each chip, {sent} sent, {step} at least, {rate} images/s at most"


def many_chips(results: Path) -> str:
    """Returns the table of docs/scaling.md, from the result files in the folder."""
    files = [json.loads(path.read_text()) for path in results.glob("many_chips_*.json")]
    files.sort(key=lambda file: file["cases"][0]["data"] * file["cases"][0]["fsdp"])
    lines = [f"`{file['command']}`; {_versions(file)}\n" for file in files]
    lines += [
        "| model | parameters | chips | data x fsdp | batch | memory of each | sent by each | "
        "step at least | images/s at most |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in (case for file in files for case in file["cases"]):
        shares = f"{case['data']} x {case['fsdp']}"
        known = (case["name"], f"{case['num_params']:,}", case["target"], shares)
        cells = (*known, f"{case['batch_size']:,}", *_many_chips_cells(case))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _many_chips_cells(case: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Returns memory of a chip without the data, bytes that it sends, time of a step and rate."""
    step = case["step"]
    if "does_not_fit" in step:
        return f"needs {step['does_not_fit']}", "", "", ""
    return (
        f"{(step['peak_bytes'] - case['data_bytes']) / 2**30:.1f} GiB",
        f"{step['collective_bytes'] / 1e6:,.0f} MB",
        _ms(step),
        f"{case['batch_size'] / step['bound_seconds']:,.0f}",
    )


def _versions(results: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in results["versions"].items())


def _tables(results: Mapping[str, Any]) -> list[str]:
    heads = " | ".join(_BATCH_STAGES)
    steps = [
        "| model | batch | step at least | estimated | images/s | GFLOP | memory | padded | "
        "operations | peak | code | compiled |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    by_stage = [f"| MB of memory a batch | {heads} |", "|---|" + "---:|" * len(_BATCH_STAGES)]
    for case in results["cases"]:
        steps.append(_step_row(case))
        moved = " | ".join(_megabytes(case["stages"][name]) for name in _BATCH_STAGES)
        by_stage.append(f"| {case['name']} | {moved} |")
    said = f"`{results['command']}` for {results['target']}; {_versions(results)}:"
    return [said, "", *steps, "", *by_stage]


def _step_row(case: Mapping[str, Any]) -> str:
    epoch = case["stages"]["epoch"]
    if "does_not_fit" in epoch:
        return (
            f"| {case['name']} | {case['batch_size']} | needs {epoch['does_not_fit']} " + "| " * 10
        )
    cells = (
        case["name"],
        case["batch_size"],
        _ms(epoch),
        _estimate(epoch),
        _rate(case),
        f"{epoch['flops'] / 1e9:,.1f}",
        f"{_megabytes(epoch)} MB",
        f"{epoch['padding']:.2f}",
        f"{epoch['num_ops']:,}",
        f"{epoch['peak_bytes'] / 1e9:.2f} GB",
        _code(epoch),
        f"{epoch['compile_seconds']:.0f} s",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _ms(stage: Mapping[str, Any]) -> str:
    return f"{1e3 * stage['bound_seconds']:.3g} ms"


def _estimate(stage: Mapping[str, Any]) -> str:
    """Returns how long the compiler expects a stage to take; "" where it does not tell."""
    seconds = stage.get("estimated_seconds")
    return f"{1e3 * seconds:.3g} ms" if seconds else ""


def _code(stage: Mapping[str, Any]) -> str:
    """Returns the size of a program; "" where the compiler does not tell it, as for GPUs."""
    return f"{stage['code_bytes'] / 1e6:.1f} MB" if stage["code_bytes"] else ""


def _rate(case: Mapping[str, Any]) -> str:
    epoch = case["stages"]["epoch"]
    seconds = epoch.get("estimated_seconds") or epoch["bound_seconds"]
    return f"{case['batch_size'] / seconds:,.0f}"


def _megabytes(stage: Mapping[str, Any]) -> str:
    return f"{stage['memory_bytes'] / 1e6:,.1f}" if "memory_bytes" in stage else "does not fit"
