"""What vitjax builds for a published row, and whether its counts are the published ones."""

import dataclasses
import functools
from typing import Any

from vitjax import config_file, models
from vitjax.models.classifier import PatchClassifier
from vitjax.models.macs import layer_macs
from vitjax.published import recipes
from vitjax.published.ledger import Row, measured
from vitjax.training.finetune import split

LEARNT_PASSES = 3  # that a step costs with all gradients
DATA = {  # data set: image shape, classes
    "mnist": ((28, 28, 1), 10),
    "fashion_mnist": ((28, 28, 1), 10),
    "svhn_cropped": ((32, 32, 3), 10),
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
    "galaxy_zoo2": ((224, 224, 3), 8),
}


@dataclasses.dataclass(frozen=True)
class Counts:
    """Parameters and multiply-accumulates of a network."""

    params: int
    trained_params: int  # those that learn
    layer_macs: dict[str, int]  # by kind of layer, for one image

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass."""
        return sum(self.layer_macs.values())

    @property
    def training_macs(self) -> int:
        """Those of training on one image: of three forward passes, or of one if the head learns."""
        return (LEARNT_PASSES if self.trained_params == self.params else 1) * self.macs


def build(row: Row) -> Counts | None:
    """Counts the network of the row's config without computing it; None where there is none."""
    if row.config is None:
        return None
    config = config_file.load_config(row.config)
    options = tuple(config.model.items())
    size, train_only = config.data.input_size, config.finetune.train_only
    return _count(config.model_name, config.data.name, size, train_only, options)


@functools.cache
def _count(
    model_name: str,
    data_name: str,
    input_size: int,
    train_only: str,
    options: tuple[tuple[str, Any], ...],
) -> Counts:
    image_shape, num_classes = DATA[data_name]
    if input_size:
        image_shape = (input_size, input_size, image_shape[-1])
    model = models.create(model_name, num_classes, **dict(options))
    params = models.abstract_params(model, image_shape)
    total = models.num_params(params)
    trained = models.num_params(split(params, train_only)[0])
    if isinstance(model, PatchClassifier):
        return Counts(total, trained, layer_macs(model, image_shape))
    below_head = models.num_macs(model.clone(num_classes=0), image_shape)
    head = models.num_macs(model, image_shape) - below_head
    return Counts(total, trained, {"features": below_head, "head": head})


def tool_macs(row: Row, counts: Counts | None) -> dict[str, Any] | None:
    """Counts as the author's tool did: the total, its parts, and why it differs from the truth.

    The parts are kinds of layers of the built network or, where there is none, recorded numbers.
    """
    if row.tool_macs is None:
        return None
    parts = row.tool_macs["parts"]
    if isinstance(parts, list):
        if counts is None:
            return None
        parts = {kind: counts.layer_macs[kind] for kind in parts}
    return {"total": sum(parts.values()), "parts": parts, "why": row.tool_macs["why"]}


def counted_params(row: Row, counts: Counts) -> int:
    """Returns the count that the row prints: of all parameters, or of those that learn."""
    return counts.params if row.counted == "all" else counts.trained_params


def disagreements(row: Row, counts: Counts | None) -> list[str]:
    """Says which counts differ from the published ones after corrections."""
    tool = tool_macs(row, counts)
    pairs = [("MACs as the author's tool counts", tool and tool["total"], row.published_macs)]
    if counts is not None:
        true_macs = row.corrected("macs") if row.tool_macs else None
        what = "parameters" if row.counted == "all" else "trained parameters"
        pairs.append((what, counted_params(row, counts), row.corrected("params")))
        pairs.append(("MACs", counts.macs, true_macs))
    return [
        f"{what}: {built:,} built, {published:,} published"
        for what, built, published in pairs
        if None not in (built, published) and built != published
    ]


def entry(row: Row) -> dict[str, Any]:
    """Returns all that is known of a row, as JSON takes it."""
    counts = build(row)
    differing = disagreements(row, counts)
    fields = dataclasses.asdict(row)
    correction = fields.pop("corrections")
    fields["printed"] = {**row.printed, **row.published}
    return fields | {
        "hyperparameters": row.hyperparameters,
        "published_params": row.published_params,
        "params": counts and counted_params(row, counts),
        "num_params": counts and counts.params,
        "num_trained_params": counts and counts.trained_params,
        "published_macs": row.published_macs,
        "macs": counts and counts.macs,
        "layer_macs": counts and counts.layer_macs,
        "tool_macs": tool_macs(row, counts),
        "published": row.accuracies,
        "published_epoch_seconds": row.corrected("epoch_time"),
        "measured": measured(row),
        "recipe": recipes.best(row),
        "recipes": {recipe.config: recipe.differs for recipe in recipes.recipes_of(row)},
        "correction": correction,
        "status": _status(row, counts, differing),
        "disagreements": differing,
    }


def _status(row: Row, counts: Counts | None, differing: list[str]) -> str:
    if differing:
        return "DISAGREES"
    if counts is None:
        return "not built"
    if row.published_params is None:
        return "no published count"
    counted = {*row.printed, "params", "macs"}
    return "agrees (corrected)" if counted & {c.cell for c in row.corrections} else "agrees"
