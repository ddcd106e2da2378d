"""Sections on how well a model predicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vitjax.reporting.class_accuracy import class_accuracy_picture
from vitjax.reporting.confusion import confusion_picture, most_confused
from vitjax.reporting.examples import Predictions, most_confident_mistakes, thumbnail
from vitjax.reporting.markup import Html, table
from vitjax.reporting.page import Photo, Section, note
from vitjax.reporting.reliability import reliability_picture

_MOST_PAIRS = 10


def classification_section(evaluation: Mapping[str, Any]) -> Section:
    """Precision, recall and F1 of each class, their means, and accuracy by class."""
    per_class = evaluation["per_class"]
    rows = [(name, *_scores(of), f"{of['support']:,}") for name, of in per_class.items()]
    total = f"{sum(values['support'] for values in per_class.values()):,}"
    foot = [
        ("accuracy", "", "", f"{evaluation['accuracy']:.4f}", total),
        ("mean of classes", *_scores(evaluation["macro_mean"]), total),
        ("mean weighted by support", *_scores(evaluation["weighted_mean"]), total),
    ]
    head = ("class", "precision", "recall", "F1", "support")
    report = table(f"Scores by class on {total} images", head, rows, foot)
    picture = class_accuracy_picture(per_class, evaluation["accuracy"])
    return Section("Classification report", [report, picture])


def _scores(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(f"{values[key]:.4f}" for key in ("precision", "recall", "f1"))


def confusion_section(matrix: np.ndarray, names: Sequence[str]) -> Section:
    """The confusion matrix [K, K], and its largest cells off the diagonal in words."""
    pairs = most_confused(matrix, names, _MOST_PAIRS)
    intro = (
        "Rows are true classes, columns predictions; the deeper the blue, the larger the share of "
        "the row (by its square root, so that rare confusions show)."
    )
    rows = [(p.truth, p.predicted, f"{p.num_images:,}", f"{p.share:.1%}") for p in pairs]
    head = ("truth", "taken for", "images", "share of that truth")
    words = table("The most frequent confusions", head, rows) if pairs else note("No confusions.")
    return Section("Confusion matrix", [note(intro), confusion_picture(matrix, names), words])


def mistakes_section(predictions: Predictions, images: np.ndarray, limit: int) -> Section:
    """The wrong predictions of images uint8 [N, H, W, C] that were most probable."""
    title = "Most confident mistakes"
    total = int((predictions.predicted != predictions.labels).sum())
    if not total:
        return Section(title, [note("Every image is classified rightly.")])
    photos = []
    for rank, i in enumerate(most_confident_mistakes(predictions, limit), start=1):
        truth, predicted = predictions.truth_and_predicted(i)
        alt = f"An image of {truth} that the model takes for {predicted}"
        photo = Photo(f"mistake_{rank:02}", alt, predictions.caption(i), thumbnail(images[i]))
        photos.append(photo)
    intro = f"{len(photos)} of {total:,} mistakes, those with the highest probability first."
    return Section(title, [note(intro), *photos])


def calibration_section(evaluation: Mapping[str, Any]) -> Section:
    """How far probabilities can be trusted, before and after dividing logits by a temperature."""
    values = evaluation["calibration"]
    intro = note(
        "ECE, the expected calibration error, is the mean distance of accuracy from probability "
        "over the bins, weighted by their images; NLL is the mean negative log-likelihood."
    )
    rows = [("as trained", "1", f"{values['ece']:.4f}", f"{values['nll']:.4f}")]
    without: list[Html] = []
    if values["temperature"] is None:
        without.append(note("No temperature: the run has no validation split to fit it on."))
    else:
        temperature, ece, nll = (
            f"{values[key]:.4f}" for key in ("temperature", "ece_scaled", "nll_scaled")
        )
        rows.append(("with the temperature fitted on validation", temperature, ece, nll))
    caption = "Calibration before and after temperature scaling"
    scores = table(caption, ("probabilities", "temperature", "ECE", "NLL"), rows)
    picture = reliability_picture(values["bins"], values["ece"])
    return Section("Calibration", [intro, scores, *without, picture])
