"""The model of a run as a function from images to classes."""

import dataclasses
import functools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from vitjax import models
from vitjax.config import flatten
from vitjax.data.augment import normalise, resize
from vitjax.data.images import in_slices
from vitjax.data.readers.pixels import open_image, to_array
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.saved_config import read_config
from vitjax.runs.weights import read_variables
from vitjax.training.placement.sharding import make_mesh, replicated, split_batch
from vitjax.training.setup import compute_dtype, input_shape

_SLICE_BYTES = 2**26  # of images that go to the devices at once
_CHANNELS = ((), (1,), (2,), (3,), (4,))  # gray, with alpha, RGB, with alpha


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A model with its weights, and all that images need before it and classes after it."""

    model: nn.Module
    variables: Mapping[str, Any]  # "params" (averaged, where the run kept averages), and others
    class_names: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    image_shape: tuple[int, int, int]  # H, W, C of images as they are stored
    config: ConfigDict
    step: int  # of the checkpoint
    workdir: Path

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """H, W, C that the model sees."""
        return input_shape(self.config.data.input_size, self.image_shape)

    def is_one_image(self, images: Any) -> bool:
        """Whether these are a path, a PIL image or an array [H, W] or [H, W, C], not several."""
        if isinstance(images, str | os.PathLike) or hasattr(images, "getbands"):
            return True
        shape: Sequence[int] = getattr(images, "shape", ())
        channels = {1, 3, 4} - {self.image_shape[1]}  # else a batch of gray images
        return len(shape) == 2 or (len(shape) == 3 and shape[2] in channels)

    def fit(self, image: Any) -> np.ndarray:
        """An image, a path or PIL's or uint8 [H, W] or [H, W, C], of any size -> `image_shape`.

        Gray, colour and alpha become the run's channels, the size is fitted as the run's config
        says. Raises OSError or UserError for what is no image.
        """
        from PIL import Image

        height, width, channels = self.image_shape
        if isinstance(image, str | Path):
            with open_image(image) as opened:
                return self.fit(opened)
        if not isinstance(image, Image.Image):
            pixels = np.asarray(image)
            shaped = pixels.ndim > 1 and pixels.shape[2:] in _CHANNELS and pixels.size
            if pixels.dtype != np.uint8 or not shaped:
                raise UserError(
                    f"an image of {pixels.dtype} {list(pixels.shape)}, expected uint8 [H, W] or "
                    "[H, W, C] with 1 to 4 channels"
                )
            one = pixels.ndim == 3 and pixels.shape[2] == 1
            image = Image.fromarray(pixels[..., 0] if one else pixels)
        return to_array(image, (height, width), channels, self.config.data.fit)

    def preprocess(self, images: Any) -> jax.Array:
        """Images uint8 [B, *image_shape] -> what the model sees, float32 [B, *input_shape]."""
        self._check_shape(images)
        pixels = jnp.asarray(images).astype(jnp.float32)
        return resize(normalise(pixels, self.mean, self.std), self.input_shape)

    def _check_shape(self, images: Any) -> None:
        if images.shape[1:] != self.image_shape:
            raise UserError(
                f"images of shape {list(images.shape[1:])}, expected {list(self.image_shape)} as "
                f"in {self.workdir}"
            )

    def logits(self, images: Any) -> np.ndarray:
        """Images uint8 [N, *image_shape] -> float32 [N, K], in one compiled program.

        More than 64 MiB of images go through it part by part. Those of a device stay there.
        """
        if not len(images):
            return np.zeros((0, len(self.class_names)), np.float32)
        self._check_shape(images)
        size = self.slice_size(images)
        found = [self._logits_of(part, size) for part in in_slices(images, size)]
        return np.concatenate(found)

    def slice_size(self, images: Any) -> int:
        """Returns how many of images [N, H, W, C] go through the program at once."""
        batch, each = self.config.data.eval_batch_size, math.prod(images.shape[1:])
        return min(len(images), max(1, _SLICE_BYTES // (batch * each)) * batch)

    def _logits_of(self, images: Any, size: int) -> np.ndarray:
        """Fills images up to `size`, so that one program serves for all."""
        whole = (jnp if isinstance(images, jax.Array) else np).pad(
            images, ((0, size - len(images)), *[(0, 0)] * 3)
        )
        found = self._program(self._on_devices, jax.device_put(whole, replicated(self._mesh)))
        return np.asarray(found)[: len(images)]

    def predict(self, images: Any) -> np.ndarray:
        """Images uint8 [N, *image_shape] -> probabilities of the classes, float32 [N, K]."""
        return np.asarray(jax.nn.softmax(self.logits(images)))

    @functools.cached_property
    def _mesh(self) -> jax.sharding.Mesh:
        return make_mesh()

    @functools.cached_property
    def _on_devices(self) -> Any:
        return jax.device_put(dict(self.variables), replicated(self._mesh))

    @functools.cached_property
    def _program(self) -> Any:
        return jax.jit(self._logits, out_shardings=replicated(self._mesh))

    def _logits(self, variables: Any, images: jax.Array) -> jax.Array:
        """Batch by batch; the last one is filled up with the last image, and cut off again."""
        devices = self._mesh.size
        size = -(-min(self.config.data.eval_batch_size, len(images)) // devices) * devices

        def batch(start: jax.Array) -> jax.Array:
            """Logits [size, K] of the images from `start` on; the last ones repeat."""
            indices = split_batch(self._mesh, start + jnp.arange(size))
            inputs: Any = self.preprocess(images.at[indices].get(mode="clip"))
            logits: Any = self.model.apply(variables, split_batch(self._mesh, inputs))
            return logits

        found = jax.lax.map(batch, jnp.arange(0, len(images), size))
        return found.reshape(-1, found.shape[-1])[: len(images)].astype(jnp.float32)


def load_predictor(workdir: str | Path, step: str | int = "best") -> Predictor:
    """Returns the model of a run's folder, at the "best" or "last" checkpoint, or at step N.

    Best is what training evaluates: the best epoch on validation. Needs no config file, and
    changes nothing in the folder. Raises UserError in one line.
    """
    folder = RunFolder(Path(workdir))
    config = read_config(folder)
    described = folder.dataset()
    height, width, channels = described["image_shape"]
    class_names = tuple(described["class_names"])
    model = models.create(
        config.model_name,
        len(class_names),
        dtype=compute_dtype(config.dtype),
        **config.model,
    )
    number, variables = read_variables(folder, step)
    predictor = Predictor(
        model=model,
        variables=variables,
        class_names=class_names,
        mean=tuple(described["mean"]),
        std=tuple(described["std"]),
        image_shape=(height, width, channels),
        config=config,
        step=number,
        workdir=folder.path,
    )
    _check_shapes(predictor)
    return predictor


def _check_shapes(predictor: Predictor) -> None:
    """Raises UserError unless the weights are those of the model that config.json describes."""
    wanted = flatten(models.abstract_variables(predictor.model, predictor.input_shape))
    found = flatten(predictor.variables)
    for path in sorted({*wanted, *found}):
        shapes = [list(tree[path].shape) if path in tree else None for tree in (wanted, found)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"{predictor.workdir}: {path} has the shape {shapes[1]} in the checkpoint and "
                f"{shapes[0]} by config.json; put back the config.json of this run"
            )


class Prediction(NamedTuple):
    """A class, and how probable it is."""

    class_name: str
    probability: float


def most_probable(
    probabilities: np.ndarray, class_names: Sequence[str], top: int
) -> list[Prediction]:
    """Returns the `top` classes of probabilities [K], the most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [Prediction(class_names[i], float(probabilities[i])) for i in order]
