"""All sections of a report, in order."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn

from vitjax import models
from vitjax.reporting.examples import Predictions
from vitjax.reporting.model_sections import attention_section, weights_section
from vitjax.reporting.page import Section
from vitjax.reporting.run_sections import cost_section, run_section, training_section
from vitjax.reporting.scores import (
    calibration_section,
    classification_section,
    confusion_section,
    mistakes_section,
)


class Facts(NamedTuple):
    """What a report is made from: the files of a run's folder, its model, and a split's images."""

    run: Mapping[str, Any]  # config.json
    changes: Sequence[tuple[str, str, str]]  # (option, default, value) of the config
    dataset: Mapping[str, Any]  # dataset.json
    lines: Sequence[Mapping[str, Any]]  # metrics.jsonl
    evaluation: Mapping[str, Any]  # eval.json
    predictions: Predictions  # predictions.npz
    images: np.ndarray  # uint8 [N, H, W, C]
    model: nn.Module
    variables: Any
    preprocess: Callable[[np.ndarray], Any]  # images -> what the model sees, [B, h, w, C]


def sections(facts: Facts, num_mistakes: int, chosen: np.ndarray) -> list[Section]:
    """Returns the sections; attention is shown on the images whose indices are `chosen`."""
    evaluation, predictions, params = facts.evaluation, facts.predictions, facts.variables["params"]
    matrix = np.asarray(evaluation["confusion_matrix"])
    inputs = np.asarray(facts.preprocess(facts.images[chosen]))
    image_shape = facts.preprocess(facts.images[:1]).shape[1:]
    return [
        run_section(facts.run, facts.dataset, evaluation, facts.changes),
        training_section(facts.lines, evaluation["epoch"]),
        classification_section(evaluation),
        confusion_section(matrix, predictions.class_names),
        mistakes_section(predictions, facts.images, num_mistakes),
        calibration_section(evaluation),
        attention_section(
            facts.model,
            facts.variables,
            facts.images[chosen],
            inputs,
            [predictions.caption(i) for i in chosen],
        ),
        weights_section(facts.model, params, image_shape),
        cost_section(params, models.macs_by_module(facts.model, image_shape), facts.lines),
    ]
