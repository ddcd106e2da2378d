"""Distillation: a network learns from the answers of a finished run (1503.02531)."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vitjax import models
from vitjax.data.augment import resize
from vitjax.data.dataset import Dataset
from vitjax.errors import UserError
from vitjax.runs.run_folder import RunFolder
from vitjax.runs.saved_config import read_config
from vitjax.runs.weights import read_variables

_MOST_BYTES = 2**28  # of a teacher's weights, which are part of the compiled program


@dataclasses.dataclass(frozen=True)
class Distillation:
    """What a loss takes from a teacher."""

    teacher: Callable[[jax.Array], jax.Array]  # images as the network sees them -> logits [B, K]
    weight: float | jax.Array  # of the teacher's answers; the labels have the rest
    temperature: float | jax.Array  # that both answers are softened by
    checkpoint: str = ""  # of the teacher: the digest of its manifest, which tells it from others

    def mix(
        self, losses: jax.Array, weights: jax.Array, images: jax.Array, logits: jax.Array
    ) -> jax.Array:
        """Losses by labels and weights [B], images [B, H, W, C], logits [B, K] -> losses [B].

        The cross entropy to the teacher's softened answer counts temperature^2 times, so that its
        gradient is as large at any temperature (section 2.1 of the paper).
        """
        answer = jax.nn.softmax(jax.lax.stop_gradient(self.teacher(images)) / self.temperature)
        guess = jax.nn.log_softmax(logits / self.temperature)
        taught = -jnp.sum(answer * guess, axis=-1) * self.temperature**2
        return (1 - self.weight) * losses + self.weight * weights * taught


def make_distillation(
    config: ConfigDict,
    dataset: Dataset,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    dtype: jnp.dtype,
) -> Distillation | None:
    """Returns what `config.distill` asks for; None without a teacher.

    `mean` and `std` are those by which the network's images are normalised. Raises UserError where
    the teacher is no finished run, is too large, or tells other classes of other images apart.
    """
    options = config.distill
    if not options.workdir:
        return None
    run = find_teacher(options.workdir)
    known, checkpoint = run.dataset(), run.evaluated_checkpoint()
    variables = _variables(run.path.resolve(), checkpoint)
    _check(options.workdir, known, dataset, variables)
    teacher = _logits(read_config(run), known, variables, mean, std, dtype)
    return Distillation(teacher, options.weight, options.temperature, checkpoint)


def as_taught(stand_in: Dataset, workdir: str) -> Dataset:
    """Returns a data set whose classes have no names yet with those that a teacher knows.

    It stays as it is where the teacher knows another number of classes.
    """
    names = find_teacher(workdir).dataset()["class_names"]
    if len(names) != stand_in.num_classes:
        return stand_in
    return dataclasses.replace(stand_in, class_names=tuple(names))


def find_teacher(workdir: str) -> RunFolder:
    """Returns the folder of a finished run; raises UserError where it is none."""
    path = os.path.expanduser(workdir)
    if os.path.isdir(path):  # no error for a name that is too long
        folder = RunFolder(Path(path))
        if (folder.path / "plan.json").exists():
            raise UserError(
                f"config.distill.workdir={workdir} holds a sweep; give one of its runs, as "
                f"{workdir}/best"
            )
        if folder.evaluation() is not None:
            return folder
    raise UserError(
        f"config.distill.workdir={workdir} is not the folder of a finished run; train it to its "
        "end, or choose another"
    )


def sees_otherwise(config: ConfigDict) -> str:
    """Says that a run sees another part of its images than its teacher saw; "" if not so."""
    taught = read_config(find_teacher(config.distill.workdir))
    here, there = _part(config), _part(taught)
    if here == there:
        return ""
    return (
        f"the teacher in {config.distill.workdir} learnt from {there}, this run sees {here}; "
        f"--config.data.fit={taught.data.fit} --config.data.image_size={taught.data.image_size} "
        "are the teacher's"
    )


def _part(config: ConfigDict) -> str:
    if config.data.fit == "center_crop" and config.data.image_size:
        return f"the middle {config.data.image_size} pixels"
    return "whole images"


@functools.lru_cache(maxsize=1)  # the members of a sweep have one teacher
def _variables(workdir: Path, checkpoint: str) -> Any:
    del checkpoint  # another run may lie in the folder by now
    return read_variables(RunFolder(workdir))[1]


def _logits(
    config: ConfigDict,
    known: dict[str, Any],
    variables: Any,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    dtype: jnp.dtype,
) -> Callable[[jax.Array], jax.Array]:
    """Returns images, normalised by `mean` and `std`, -> the logits of a run."""
    num_classes = len(known["class_names"])
    model: Any = models.create(config.model_name, num_classes, dtype=dtype, **config.model)
    height, width, channels = known["image_shape"]
    side = config.data.input_size
    image_shape = (side or height, side or width, channels)
    # Undoes the network's normalisation, and does the teacher's.
    scale = np.divide(std, known["std"]).astype(np.float32)
    shift = (np.subtract(mean, known["mean"]) / known["std"]).astype(np.float32)

    def logits(images: jax.Array) -> jax.Array:
        return model.apply(variables, resize(images * scale + shift, image_shape))

    return logits


def _check(workdir: str, known: Any, dataset: Dataset, variables: Any) -> None:
    """Raises UserError where a teacher cannot teach what `dataset` asks for."""
    if list(known["class_names"]) != list(dataset.class_names):
        raise UserError(
            f"the run in config.distill.workdir={workdir} knows {len(known['class_names'])} "
            f"classes of {known['name']}, which are not the {dataset.num_classes} of "
            f"{dataset.name}; choose a run on the same data"
        )
    if known["image_shape"][-1] != dataset.image_shape[-1]:
        raise UserError(
            f"the run in config.distill.workdir={workdir} sees {known['image_shape'][-1]} "
            f"channels, the data have {dataset.image_shape[-1]}; change config.data.channels"
        )
    size = sum(x.nbytes for x in jax.tree.leaves(variables))
    if size > _MOST_BYTES:
        raise UserError(
            f"the weights in config.distill.workdir={workdir} take {size / 2**20:,.0f} MiB, a "
            f"teacher may have {_MOST_BYTES / 2**20:.0f}; choose a smaller one"
        )
