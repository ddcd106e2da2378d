"""A run as a model card: the README.md of a repository on the Hugging Face hub.

Its head holds what the hub reads (https://huggingface.co/docs/hub/model-cards), as YAML whose
values are JSON, which is YAML too. It says nothing that was not measured or stored: no licence, and
no carbon.
"""

import json
from collections.abc import Mapping
from typing import Any

MetricRow = tuple[str, str, float]  # the hub's name of a metric, ours, its value


def model_card(
    run: Mapping[str, Any],
    dataset: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    name: str,
) -> str:
    """Returns the card of a run called `name`, of config.json, dataset.json and eval.json.

    Before a run has ended there is no eval.json, and the card has no metrics.
    """
    model = run["config"]["model_name"]
    metrics = _metrics(evaluation) if evaluation else []
    head = {
        "library_name": "vitjax",
        "pipeline_tag": "image-classification",
        "tags": ["vitjax", "jax", "flax", "image-classification", model],
        "metrics": [metric for metric, _, _ in metrics],
        "model-index": [{"name": name, "results": _results(dataset, evaluation, metrics)}],
    }
    if not metrics:
        del head["metrics"], head["model-index"]
    lines = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
    parts = [
        f"# {name}",
        _summary(model, dataset, evaluation),
        *(["## Metrics", _table(metrics), _how_measured(evaluation)] if evaluation else []),
        *("## Data", _data(dataset)),
        *("## Intended use and limits", _limits(dataset, evaluation)),
        *("## Training", _training(run, evaluation)),
    ]
    return "\n".join(["---", *lines, "---", "", "\n\n".join(parts), ""])


def _metrics(evaluation: Mapping[str, Any]) -> list[MetricRow]:
    """Returns those that eval.json holds; only some before python -m vitjax.evaluate."""
    rows = [("accuracy", "accuracy", evaluation["accuracy"])]
    if "macro_mean" in evaluation:
        rows.append(("f1", "F1, mean over classes", evaluation["macro_mean"]["f1"]))
    if "calibration" in evaluation:
        rows.append(("expected_calibration_error", "ECE", evaluation["calibration"]["ece"]))
    return [*rows, ("loss", "loss", evaluation["loss"])]


def _results(
    dataset: Mapping[str, Any], evaluation: Mapping[str, Any] | None, metrics: list[MetricRow]
) -> list[dict[str, Any]]:
    if not evaluation:
        return []
    data = {"name": dataset["name"], "type": dataset["name"], "split": evaluation["split"]}
    values = [{"type": kind, "name": text, "value": value} for kind, text, value in metrics]
    return [{"task": {"type": "image-classification"}, "dataset": data, "metrics": values}]


def _summary(model: str, dataset: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    size = f" of {evaluation['num_params']:,} parameters" if evaluation else ""
    return (
        f"An image classifier, `{model}`{size}, that tells {len(dataset['class_names'])} classes "
        f"of {dataset['name']} apart. Trained with vitjax, in JAX and Flax."
    )


def _table(metrics: list[MetricRow]) -> str:
    rows = [f"| {text} | {value:.4f} |" for _, text, value in metrics]
    return "\n".join(["| metric | value |", "|---|---:|", *rows])


def _how_measured(evaluation: Mapping[str, Any]) -> str:
    chosen = (
        "the epoch that is best on validation" if "valid_loss" in evaluation else "the last epoch"
    )
    text = (
        f"On all {evaluation['num_examples']:,} images of the {evaluation['split']} split, with "
        f"{chosen}, number {evaluation['epoch']}."
    )
    if "accuracy_interval" in evaluation:
        low, high = evaluation["accuracy_interval"]
        text += f" The 95 % interval of the accuracy is {low:.4f} to {high:.4f}."
    return text


def _data(dataset: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{count:,} {name}" for name, count in dataset["num_examples"].items())
    shape = "x".join(map(str, dataset["image_shape"]))
    classes = ", ".join(f"`{name}`" for name in dataset["class_names"][:100])
    more = len(dataset["class_names"]) - 100
    return (
        f"{dataset['name']}: {sizes} images of {shape}. Pixels in [0, 1] are normalised by the "
        f"mean {_rounded(dataset['mean'])} and the deviation {_rounded(dataset['std'])}.\n\n"
        f"Classes: {classes}{f' and {more} more' if more > 0 else ''}."
    )


def _rounded(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _limits(dataset: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    text = (
        f"For images like those of {dataset['name']}, which it was measured on, and for research. "
        "It gives one of its classes to every image, also to one that shows none of them. How it "
        "does on images from elsewhere, or on groups of people or things that the data do not tell "
        "apart, was not measured."
    )
    if evaluation and "per_class" in evaluation:
        recall = {name: row["recall"] for name, row in evaluation["per_class"].items()}
        worst = min(recall, key=lambda name: recall[name])
        text += f" Of its classes it finds `{worst}` least often: {recall[worst]:.0%} of them."
    return text


def _training(run: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in run["versions"].items())
    took = ""
    if evaluation:
        took = f"{evaluation['num_epochs_run']} epochs in {evaluation['seconds']:,.0f} s on "
    return (
        f"```bash\n{run['command']}\n```\n\n"
        f"{took}{run.get('hardware', 'hardware that was not recorded')}, with {versions}, seed "
        f"{run['config']['seed']}. All options are in `config.json`."
    )
