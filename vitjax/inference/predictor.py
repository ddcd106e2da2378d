"""A trained run as a function from images to classes."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from vitjax import models
from vitjax.config import default, flatten
from vitjax.data.augment import normalise, resize
from vitjax.data.image_files import to_array
from vitjax.errors import UserError
from vitjax.runs import checkpoints, selection
from vitjax.runs.run_folder import RunFolder
from vitjax.training.finetune import merge
from vitjax.training.setup import compute_dtype, input_shape
from vitjax.training.sharding import make_mesh, replicated, split_batch

_CHANNELS = ((), (1,), (2,), (3,), (4,))  # gray, with alpha, RGB, with alpha


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
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

    def fit(self, image: Any) -> np.ndarray:
        """An image, a path or PIL's or uint8 [H, W] or [H, W, C], of any size -> `image_shape`.

        Gray, colour and alpha become the run's channels, the size is fitted as the run's config
        says. Raises OSError or UserError for what is no image.
        """
        from PIL import Image

        height, width, channels = self.image_shape
        if isinstance(image, str | Path):
            with Image.open(image) as opened:
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
        if images.shape[1:] != self.image_shape:
            raise UserError(
                f"images of shape {list(images.shape[1:])}, expected {list(self.image_shape)} as "
                f"in {self.workdir}"
            )
        pixels = jnp.asarray(images).astype(jnp.float32)
        return resize(normalise(pixels, self.mean, self.std), self.input_shape)

    def logits(self, images: Any) -> np.ndarray:
        """Images uint8 [N, *image_shape] -> float32 [N, K], in one compiled program."""
        if not len(images):
            return np.zeros((0, len(self.class_names)), np.float32)
        on_devices = replicated(self._mesh)
        result = self._program(self._on_devices, jax.device_put(images, on_devices))
        return np.asarray(result)

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
            indices = split_batch(self._mesh, start + jnp.arange(size))
            inputs: Any = self.preprocess(images.at[indices].get(mode="clip"))
            logits: Any = self.model.apply(variables, split_batch(self._mesh, inputs))
            return logits

        found = jax.lax.map(batch, jnp.arange(0, len(images), size))
        return found.reshape(-1, found.shape[-1])[: len(images)].astype(jnp.float32)


def load(workdir: str | Path, step: str | int = "best") -> Trained:
    """Returns the model of a run's folder, at the "best" or "last" checkpoint, or at step N.

    Best is what training evaluates: the best epoch on validation. Needs no config file, and
    changes nothing in the folder. Raises UserError in one line.
    """
    folder = RunFolder(Path(workdir))
    for name, what in (("", "folder"), ("config.json", "file"), ("dataset.json", "file")):
        if not (folder.path / name).exists():
            raise UserError(f"there is no {what} {folder.path / name}; give the --workdir of a run")
    config = _read_config(folder)
    facts = folder.read("dataset.json", "image_shape")
    height, width, channels = facts["image_shape"]
    class_names = tuple(facts["class_names"])
    model = models.create(
        config.model_name,
        len(class_names),
        dtype=compute_dtype(config.dtype),
        **config.model,
    )
    number = _find_step(folder, step, config.select_by)
    parts = checkpoints.read(folder.checkpoints, number, ("params", "ema_params", "model_state"))
    params = merge(parts["params"], parts["ema_params"])
    trained = Trained(
        model=model,
        variables={"params": params, **parts["model_state"]},
        class_names=class_names,
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        image_shape=(height, width, channels),
        config=config,
        step=number,
        workdir=folder.path,
    )
    _check_shapes(trained)
    return trained


def _read_config(folder: RunFolder) -> ConfigDict:
    """Returns the run's config; an option that it did not know yet has its default."""
    saved = folder.read("config.json", "config")["config"]
    config = default(saved["model_name"])
    unknown = sorted(set(flatten(saved)) - set(flatten(config)))
    if unknown:
        raise UserError(
            f"{folder.path / 'config.json'} has options that this vitjax does not know: "
            f"{', '.join(unknown)}; use the version it was trained with"
        )
    config.update(_with_tuples(saved))
    return config.lock()


def _with_tuples(value: Any) -> Any:
    """Undoes what JSON makes of tuples."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(part) for name, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _find_step(folder: RunFolder, step: str | int, select_by: str) -> int:
    """Returns the number of the "best", the "last" or a given step that has a checkpoint."""
    steps = checkpoints.saved_steps(folder.checkpoints)
    if not steps:
        raise UserError(f"{folder.path} has no checkpoint yet; train it with python -m vitjax.main")
    if step == "last":
        return steps[-1]
    if step == "best":
        kept = [line for line in folder.metrics() if line["step"] in steps]
        return selection.best(kept, select_by).get("step", steps[-1])
    if step not in steps:
        raise UserError(
            f"step {step} has no checkpoint in {folder.path}; choose best, last or one of "
            f"{', '.join(map(str, steps))}"
        )
    return int(step)


def _check_shapes(trained: Trained) -> None:
    """Raises UserError unless the weights are those of the model that config.json describes."""
    wanted = flatten(models.abstract_variables(trained.model, trained.input_shape))
    found = flatten(trained.variables)
    for path in sorted({*wanted, *found}):
        shapes = [list(tree[path].shape) if path in tree else None for tree in (wanted, found)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"{trained.workdir}: {path} has the shape {shapes[1]} in the checkpoint and "
                f"{shapes[0]} by config.json; put back the config.json of this run"
            )


def predict(
    run: Trained | str | Path, images: Iterable[Any], top: int = 5
) -> list[list[tuple[str, float]]]:
    """Returns the `top` classes of each image with their probabilities, the most probable first.

    `run` is a run's folder or what `load` returned; `images` are paths, PIL images or uint8 arrays
    [H, W] or [H, W, C], each of any size. Raises OSError or UserError for what is no image.
    """
    trained = run if isinstance(run, Trained) else load(run)
    fitted = [trained.fit(image) for image in images]
    if not fitted:
        return []
    return [
        most_probable(row, trained.class_names, top) for row in trained.predict(np.stack(fitted))
    ]


def most_probable(
    probabilities: np.ndarray, class_names: Sequence[str], top: int
) -> list[tuple[str, float]]:
    """Returns the `top` classes of probabilities [K], the most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(class_names[i], float(probabilities[i])) for i in order]
