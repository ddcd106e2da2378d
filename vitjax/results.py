"""What runs return to Python: typed, as text in a terminal and as tables in a notebook."""

import dataclasses
import html
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Epoch:
    """A line of metrics.jsonl; validation is None where there is no such split."""

    epoch: int  # from 1
    step: int  # optimiser steps done
    train_loss: float
    train_accuracy: float
    lr: float  # learning rate of the last step
    images_per_second: float
    seconds: float  # with its validation
    valid_loss: float | None = None
    valid_accuracy: float | None = None
    grad_norm: float | None = None  # mean over the epoch's steps, before clipping
    skipped: int | None = None  # steps that were left out, as a number was not finite
    data_wait: float | None = None  # share of the seconds in which devices waited for a stream


class History(tuple[Epoch, ...]):
    """The epochs of a run, in order."""

    def _repr_html_(self) -> str:
        from vitjax.reporting.page import html_table

        names = [field.name for field in dataclasses.fields(Epoch)]
        return html_table(
            "Epochs", names, [[_short(getattr(e, name)) for name in names] for e in self]
        )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How good a run is on a split: eval.json. Accuracies are shares of the images."""

    split: str
    accuracy: float
    num_examples: int
    accuracy_interval: Sequence[float]  # 95 %, Wilson
    top5_accuracy: float
    per_class: Mapping[str, Mapping[str, float]]  # name -> precision, recall, f1, support
    macro_mean: Mapping[str, float]
    weighted_mean: Mapping[str, float]
    confusion_matrix: Sequence[Sequence[int]]  # [K, K], rows are truths
    calibration: Mapping[str, Any]  # ece, nll, bins, temperature and both scaled by it
    step: int
    loss: float | None = None  # of training, with its smoothing and weights
    corruptions: Mapping[str, Any] | None = None  # corruptions.json, where it was asked for
    json: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)  # the whole file

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Evaluation":
        """Returns what eval.json holds."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in content.items() if k in names}, json=content)

    def __str__(self) -> str:
        from vitjax.reporting.accuracy import evaluation_table
        from vitjax.reporting.robustness import robustness_table

        text = evaluation_table(self.json)
        corrupted = self.corruptions
        return text if corrupted is None else f"{text}\n\n{robustness_table(corrupted)}"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value:,}"
