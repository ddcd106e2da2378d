"""What the page says of a run, and needs to know of it."""

from typing import Any

from vitjax.demonstration.recognizer import Recognizer
from vitjax.runs.run_folder import RunFolder


def describe(recognizer: Recognizer) -> dict[str, Any]:
    """Returns JSON: what the run is, and how images are brought to its model."""
    predictor = recognizer.predictor
    evaluation = RunFolder(predictor.workdir).evaluation() or {}
    return {
        "model": predictor.config.model_name,
        "data": predictor.config.data.name,
        "num_params": evaluation.get("num_params"),
        "accuracy": evaluation.get("accuracy"),
        "class_names": predictor.class_names,
        "image_shape": predictor.image_shape,
        "draws": recognizer.of_digits,
        "has_attention": recognizer.has_attention,
    }
