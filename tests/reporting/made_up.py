"""A run made up for tests of the page, with names that would break HTML if they could."""

import jax
import numpy as np

from vitjax import models
from vitjax.reporting.predictions import Predictions
from vitjax.reporting.report_page import ReportData
from vitjax.reporting.robustness import Robustness

SIZES = {
    "resnet": dict(stage_sizes=(1, 1), width=4),
    "vgg": dict(stage_sizes=(1, 1), width=4, hidden_dims=(6,)),
    "swin": dict(patch_size=2, window_size=2, hidden_dim=8, stage_sizes=(1, 1), num_heads=(1, 2)),
}
NAMES = ("<cat>", 'the "dog" & co', "emu")


def report_data(model_name="vit", num_classes=3, wrong=5, corrupted=False, **changes):
    """The data of 40 images [8, 8, 3], of which the first `wrong` are taken for the next class."""
    random = np.random.RandomState(0)
    names = (*NAMES, *(f"class {i}" for i in range(3, num_classes)))
    sizes = SIZES.get(model_name, dict(num_layers=2, hidden_dim=16, mlp_dim=8))
    model = models.create(model_name, num_classes, **sizes, **changes)
    images = random.randint(0, 256, (40, 8, 8, 3), np.uint8)
    variables = jax.tree.map(
        lambda leaf: random.randn(*leaf.shape).astype(leaf.dtype),
        models.abstract_variables(model, (8, 8, 3)),
    )
    labels = np.arange(40, dtype=np.int32) % num_classes
    predicted = np.where(np.arange(40) < wrong, (labels + 1) % num_classes, labels)
    probabilities = np.full((40, num_classes), 0.1 / (num_classes - 1), np.float32)
    probabilities[np.arange(40), predicted] = 0.9
    matrix = np.zeros((num_classes, num_classes), int)
    np.add.at(matrix, (labels, predicted), 1)
    return ReportData(
        run={
            "config": {"model_name": model_name, "seed": 7},
            "command": "python -m vitjax.main --x='<script>'",
            "versions": {"vitjax": "0.1.0"},
            "hardware": "1 x cpu",
        },
        changes=[("optim.name", '"adamw"', '"<sgd>"')],
        dataset={
            "name": "made_up",
            "class_names": names,
            "image_shape": [8, 8, 3],
            "num_examples": {"train": 100, "test": 40},
        },
        lines=[line(epoch) for epoch in (1, 2, 3)],
        evaluation=evaluation(names, matrix),
        predictions=Predictions(probabilities, labels, np.arange(40).astype(str), names),
        images=images,
        model=model,
        variables=variables,
        preprocess=lambda images: (images / 255).astype(np.float32),
        robustness=robustness(images[0]) if corrupted else None,
    )


def robustness(image):
    """What a report has of two corruptions at three strengths."""
    of = {"unit": "<share>", "strengths": [0.1, 0.2, 0.3], "accuracy": [0.75, 0.5, 0.25]}
    numbers = {
        "num_examples": 40, "accuracy": 0.875, "mean_accuracy": 0.5,
        "corruptions": {"noise": of, "blur": of},
    }  # fmt: skip
    return Robustness(numbers, image, np.broadcast_to(image, (2, 3, *image.shape)))


def line(epoch):
    """A line of metrics.jsonl."""
    return {
        "epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.5, "valid_loss": 2 / epoch,
        "valid_accuracy": 0.25, "lr": 1e-3, "images_per_second": 100.0 * epoch, "seconds": 2.0,
    }  # fmt: skip


def evaluation(names, matrix):
    """What eval.json holds."""
    scores = {"precision": 0.5, "recall": 0.625, "f1": 0.75}
    bins = [{"confidence": (i + 0.5) / 15, "accuracy": i / 15, "count": i % 2} for i in range(15)]
    return {
        "split": "test", "accuracy": 0.875, "accuracy_interval": [0.8, 0.9], "num_examples": 40,
        "loss": 0.5, "top5_accuracy": 0.96875, "num_params": 1234, "num_macs": 5678,
        "seconds": 6.0, "epoch": 2, "num_epochs_run": 3,
        "per_class": {name: {**scores, "support": 4} for name in names},
        "macro_mean": scores, "weighted_mean": scores, "confusion_matrix": matrix.tolist(),
        "calibration": {
            "ece": 0.0625, "nll": 0.3, "bins": bins,
            "temperature": 1.5, "ece_scaled": 0.03125, "nll_scaled": 0.25,
        },
    }  # fmt: skip
