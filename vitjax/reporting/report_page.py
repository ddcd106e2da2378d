"""The report on a run: its headline, all its sections in order, and where it is written."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn

from vitjax import models
from vitjax.reporting.accuracy import accuracy_section
from vitjax.reporting.attention_maps import attention_section
from vitjax.reporting.calibration import calibration_section
from vitjax.reporting.confusion import confusion_section
from vitjax.reporting.cost import cost_section
from vitjax.reporting.first_layers import first_layers_section
from vitjax.reporting.page import (
    Html,
    Section,
    code,
    html_table,
    note,
    numbers,
    page_text,
    write_page,
)
from vitjax.reporting.predictions import Predictions, mistakes_section
from vitjax.reporting.robustness import Robustness, robustness_section
from vitjax.reporting.training_curves import training_section
from vitjax.text import all_printable, printable


class ReportData(NamedTuple):
    """What a report is made from: the files of a run's folder, its model, and a split's images."""

    run: Mapping[str, Any]  # config.json
    changes: Sequence[tuple[str, str, str]]  # (option, default, value) of the config
    dataset: Mapping[str, Any]  # dataset.json
    lines: Sequence[Mapping[str, Any]]  # metrics.jsonl
    evaluation: Mapping[str, Any]  # eval.json
    predictions: Predictions  # predictions.npz
    images: Any  # uint8 [N, H, W, C], an array or what gives arrays by index
    model: nn.Module
    variables: Any
    preprocess: Callable[[np.ndarray], Any]  # images -> what the model sees, [B, h, w, C]
    robustness: Robustness | None = None  # None: not measured


def write_report(folder: Path, data: ReportData, num_mistakes: int, chosen: np.ndarray) -> Path:
    """Writes index.html and its pictures into a folder, made if need be; returns the page's path.

    It shows the `num_mistakes` most confident mistakes, and attention on the images whose indices
    are `chosen`.
    """
    data = _shown(data)
    parts = sections(data, num_mistakes, chosen)
    title = f"{type(data.model).__name__} on {data.dataset['name']}"
    text = page_text(title, [headline(data.evaluation)], parts)
    return write_page(folder, text, parts)


def _shown(data: ReportData) -> ReportData:
    """Returns the data with names that are no text escaped: fonts and UTF-8 have none for them."""
    names = tuple(map(printable, data.predictions.class_names))
    ids = np.array([printable(name) for name in data.predictions.ids])
    return data._replace(
        run=all_printable(data.run),
        changes=all_printable(data.changes),
        dataset=all_printable(data.dataset),
        evaluation=all_printable(data.evaluation),
        predictions=data.predictions._replace(class_names=names, ids=ids),
    )


def sections(data: ReportData, num_mistakes: int, chosen: np.ndarray) -> list[Section]:
    """Returns the sections; attention is shown on the images whose indices are `chosen`."""
    evaluation, predictions, params = data.evaluation, data.predictions, data.variables["params"]
    matrix = np.asarray(evaluation["confusion_matrix"])
    inputs = np.asarray(data.preprocess(data.images[chosen]))
    image_shape = data.preprocess(data.images[:1]).shape[1:]
    return [
        run_section(data.run, data.dataset, evaluation, data.changes),
        training_section(data.lines, evaluation["epoch"]),
        accuracy_section(evaluation),
        confusion_section(matrix, predictions.class_names),
        mistakes_section(predictions, data.images, num_mistakes),
        calibration_section(evaluation),
        robustness_section(data.robustness),
        attention_section(
            data.model,
            data.variables,
            data.images[chosen],
            inputs,
            [predictions.caption(i) for i in chosen],
        ),
        first_layers_section(data.model, params, image_shape),
        cost_section(params, models.macs_by_module(data.model, image_shape), data.lines),
    ]


def headline(evaluation: Mapping[str, Any]) -> Html:
    """Returns the numbers that a reader looks for first."""
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
    summary = [
        ("model", run["config"]["model_name"]),
        ("data", f"{dataset['name']}: {sizes} images of {shape}"),
        ("classes", f"{len(dataset['class_names'])}"),
        ("epochs", epochs),
        ("seed", f"{run['config']['seed']}"),
        ("hardware", run.get("hardware", "not recorded")),
        ("versions", ", ".join(f"{name} {text}" for name, text in run["versions"].items())),
    ]
    options = (
        html_table(
            "Options that differ from the defaults",
            ("option", "default", "here"),
            changes,
            kind="words",
        )
        if changes
        else note("All options have their defaults.")
    )
    command = code(_by_option(run["command"]))
    about = html_table("Summary", (), summary, kind="words")
    return Section("The run", [about, note("Command:"), command, options])


def _by_option(command: str) -> str:
    """Returns a shell's command with each option on a line of its own."""
    if not command.startswith("python -m "):
        return command
    python, m, module, *options = shlex.split(command)
    return " \\\n    ".join([f"{python} {m} {module}", *map(shlex.quote, options)])
