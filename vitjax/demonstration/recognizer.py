"""A run's model as a function from pictures to what the page shows."""

import base64
import functools
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vitjax.data.readers.pixels import open_image, to_array, why_unreadable
from vitjax.demonstration import drawings
from vitjax.errors import UserError
from vitjax.inference.predictor import Predictor
from vitjax.reporting.attention_maps import has_attention, maps_of

MAX_PIXELS = 50_000_000  # of an image that is looked at
_SIZES = (1, 8)  # images that a program takes


class Recognition(NamedTuple):
    """What a model says of an image."""

    image: np.ndarray  # uint8 [H, W, C], as it was shown to the model
    probabilities: np.ndarray  # float32 [K]
    attention: np.ndarray | None  # [R, C], for each patch; None for a model without


class Recognizer:
    """Recognises images with a run's model, some at a time."""

    def __init__(self, predictor: Predictor):
        self.predictor = predictor
        self.of_digits = drawings.is_of_digits(predictor.class_names, predictor.image_shape)
        self.has_attention = has_attention(predictor.model)

    def warm_up(self) -> None:
        """Compiles what `recognize` runs."""
        for size in _SIZES:
            self.recognize([np.zeros(self.predictor.image_shape, np.uint8)] * size)

    def read(self, content: bytes, is_drawing: bool) -> np.ndarray:
        """The content of an image file -> uint8 [H, W, C] as the run stores images.

        A drawn digit, and a photographed one, is placed as those of its training data; an image of
        the run's own size is taken as it is. Raises UserError for what is no image.
        """
        try:
            with open_image(io.BytesIO(content)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UserError(
                        f"an image of {image.width} x {image.height} pixels; expected at most "
                        f"{MAX_PIXELS // 10**6} million"
                    )
                if not self.of_digits or image.size[::-1] == self.predictor.image_shape[:2]:
                    return self.predictor.fit(image)
                image.load()
                return self._digit(image, is_drawing)
        except UserError:
            raise
        except Exception as error:  # damaged files raise many types
            raise UserError(f"this cannot be read: {why_unreadable(error)}") from error

    def _digit(self, image: Any, is_drawing: bool) -> np.ndarray:
        ink = to_array(image, None, 1, "resize")[..., 0]
        ink = ink if is_drawing else drawings.inked(ink)
        return self.predictor.fit(drawings.placed(ink, self.predictor.config.data.name))

    def recognize(self, images: Sequence[np.ndarray]) -> list[Recognition]:
        """Says what is on images uint8 [H, W, C]."""
        found: list[Recognition] = []
        while len(found) < len(images):
            some = images[len(found) : len(found) + _SIZES[-1]]
            size = next(size for size in _SIZES if size >= len(some))
            whole = np.stack([*some, *[some[-1]] * (size - len(some))])
            probabilities, attention = jax.device_get(self._program(self._variables, whole))
            maps = [None] * size if attention is None else attention
            found += map(Recognition, some, probabilities, maps)
        return found

    @functools.cached_property
    def _variables(self) -> Any:
        return jax.device_put(dict(self.predictor.variables))

    @functools.cached_property
    def _program(self) -> Any:
        def program(variables: Any, images: jax.Array) -> tuple[jax.Array, jax.Array | None]:
            """Images [B, H, W, C] -> probabilities [B, K], and where the model looks or None."""
            inputs = self.predictor.preprocess(images)
            logits: Any = self.predictor.model.apply(variables, inputs)
            model = self.predictor.model
            rollout = maps_of(model, variables, inputs).rollout if self.has_attention else None
            return jax.nn.softmax(logits.astype(np.float32)), rollout

        return jax.jit(program)


def png_url(image: np.ndarray) -> str:
    """An image uint8 [H, W, C] as the address of a PNG that an HTML page shows."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
