"""A trained run as one function, from images as they are stored to classes: what is exported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import vitjax
from vitjax import files
from vitjax.inference.predictor import Predictor

IMAGES = "images"  # name of the input: uint8 [B, H, W, C]
OUTPUTS = ("logits", "probabilities")  # float32 [B, K]


def classifier(predictor: Predictor) -> Callable[[Any], dict[str, jax.Array]]:
    """Returns the function from images to `OUTPUTS`, which computes in float32 on every device.

    It normalises and resizes as evaluation does.
    """
    model: Any = predictor.model.clone(dtype=jnp.float32)

    def classify(images: Any) -> dict[str, jax.Array]:
        """Images as they are stored [B, H, W, C] -> logits and probabilities [B, K]."""
        with jax.default_matmul_precision("float32"):
            logits = model.apply(predictor.variables, predictor.preprocess(images))
            return dict(zip(OUTPUTS, (logits, jax.nn.softmax(logits)), strict=True))

    return classify


def describe(predictor: Predictor) -> dict[str, Any]:
    """Returns what a user of an export has to know beside its numbers, for JSON."""
    return {
        "class_names": predictor.class_names,
        "image_shape": predictor.image_shape,
        "fit": predictor.config.data.fit,
        "input_shape": predictor.input_shape,
        "mean": predictor.mean,
        "std": predictor.std,
        "model_name": predictor.config.model_name,
        "model": predictor.config.model.to_dict(),
        "step": predictor.step,
        "vitjax": vitjax.__version__,
    }


def write_description(path: Path, predictor: Predictor) -> None:
    """Writes `describe` beside a file that has no place for it: FILE.json."""
    text = json.dumps(describe(predictor), indent=2) + "\n"
    files.write(path.with_name(f"{path.name}.json"), text)


def random_images(predictor: Predictor, count: int) -> np.ndarray:
    """Returns images uint8 [count, H, W, C] of noise, always the same."""
    random = np.random.RandomState(0)
    return random.randint(0, 256, (count, *predictor.image_shape)).astype(np.uint8)
