"""Sections on the run itself: what was trained, how it went, what it costs."""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from vitjax.reporting.cost import costs
from vitjax.reporting.curves import curves
from vitjax.reporting.markup import Html, table
from vitjax.reporting.page import Section, code, note, numbers


def headline(evaluation: Mapping[str, Any]) -> Html:
    """The numbers that a reader looks for first."""
    low, high = evaluation["accuracy_interval"]
    pairs = [
        (f"{evaluation['split']} accuracy", f"{evaluation['accuracy']:.2%}"),
        ("95 % interval", f"{low:.2%} to {high:.2%}"),
        ("images", f"{evaluation['num_examples']:,}"),
        ("loss", f"{evaluation['loss']:.4f}"),
    ]
    if len(evaluation["per_class"]) > 5:
        pairs.append(("top-5 accuracy", f"{evaluation['top5_accuracy']:.2%}"))
    pairs += [
        ("calibration error", f"{evaluation['calibration']['ece']:.4f}"),
        ("parameters", f"{evaluation['num_params']:,}"),
        ("MACs per image", f"{evaluation['num_macs']:,}"),
        ("training", f"{evaluation['seconds']:,.0f} s"),
    ]
    return numbers(pairs)


def run_section(
    run: Mapping[str, Any],
    dataset: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    changes: Sequence[tuple[str, str, str]],
) -> Section:
    """What was run on what; `changes` are (option, default, value) of the config."""
    epochs = f"{evaluation['num_epochs_run']} trained, number {evaluation['epoch']} evaluated"
    sizes = ", ".join(f"{count:,} {name}" for name, count in dataset["num_examples"].items())
    shape = "x".join(map(str, dataset["image_shape"]))
    facts = [
        ("model", run["config"]["model_name"]),
        ("data", f"{dataset['name']}: {sizes} images of {shape}"),
        ("classes", f"{len(dataset['class_names'])}"),
        ("epochs", epochs),
        ("seed", f"{run['config']['seed']}"),
        ("hardware", run.get("hardware", "not recorded")),
        ("versions", ", ".join(f"{name} {text}" for name, text in run["versions"].items())),
    ]
    options = (
        table(
            "Options that differ from the defaults",
            ("option", "default", "here"),
            changes,
            kind="words",
        )
        if changes
        else note("All options have their defaults.")
    )
    summary = table("Summary", (), facts, kind="words")
    return Section(
        "The run", [summary, note("Command:"), code(_by_option(run["command"])), options]
    )


def _by_option(command: str) -> str:
    """Returns a shell's command with each option on a line of its own."""
    python, m, module, *options = shlex.split(command)
    return " \\\n    ".join([f"{python} {m} {module}", *map(shlex.quote, options)])


def training_section(lines: Sequence[Mapping[str, Any]], best_epoch: int) -> Section:
    """The curves of metrics.jsonl's lines."""
    if not lines:
        return Section("Training", [note("No curves: the run's folder holds no metrics.jsonl.")])
    items: list[Any] = list(curves(lines, best_epoch))
    if "valid_loss" not in lines[0]:
        items.insert(0, note("No validation split, so the last epoch was evaluated."))
    return Section("Training", items)


def cost_section(
    params: Any, macs: Mapping[str, int], lines: Sequence[Mapping[str, Any]]
) -> Section:
    """Parameters and MACs of each part of the model, and the speed of training."""
    parts = costs(params, macs)
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
    items = [note(intro), table("Parameters and MACs by part", head, rows, total)]
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
