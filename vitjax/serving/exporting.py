"""Exports of a run, each read again and compared with the model that it is of."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vitjax.errors import UserError
from vitjax.inference.predictor import Predictor
from vitjax.machine.temporary import temporary_folder
from vitjax.serving import classify, from_jaxpr, library_weights, onnx_file, stablehlo

Format = Literal["stablehlo", "onnx", "safetensors", "hub", "transformers", "timm", "vit_pytorch"]
Say = Callable[[str], None]

LIMIT = 1e-4  # of the largest logit
_BATCHES = (1, 3)  # images, to see that a file takes any number


class Export(NamedTuple):
    """What was written, and how it compares."""

    path: Path
    difference: float  # largest, of a logit, over the largest logit of the model


class _Kind(NamedTuple):
    """A format: how to write it, and how to get logits from what was written."""

    write: Callable[[Path, Predictor], None]
    logits: Callable[[Path, Predictor, np.ndarray], np.ndarray]
    suffix: str = ".safetensors"  # "": a folder


def export(predictor: Predictor, out: str | Path, form: str, say: Say) -> Export:
    """Writes `form`, one of `Format`, to `out`, reads it again and compares it on images of noise.

    Raises UserError for what cannot be written, and where the logits differ by more than `LIMIT`;
    then nothing is written.
    """
    if form not in _KINDS:
        raise UserError(f"format={form!r} is unknown; choose from {', '.join(_KINDS)}")
    kind, path = _KINDS[form], Path(os.path.expanduser(out))
    _check_place(path, kind.suffix, form)
    with _folder_beside(path) as folder:
        made = folder / path.name
        kind.write(made, predictor)
        difference = max(_difference(kind, made, predictor, size) for size in _BATCHES)
        if not difference <= LIMIT:
            raise UserError(
                f"{path} would give logits that are {difference:.1e} of the largest off, at most "
                f"{LIMIT:g} is allowed: not written; choose another --format"
            )
        for part in folder.iterdir():
            part.replace(path.parent / part.name)
    say(
        f"{path}: read again, logits within {difference:.1e} of the largest on "
        f"{sum(_BATCHES)} images of noise"
    )
    return Export(path, difference)


@contextlib.contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Makes a folder for what is not checked yet, and removes it."""
    try:
        with temporary_folder(path.parent, ".export-") as folder:
            yield folder
    except OSError as error:
        raise UserError(f"cannot write --out={path}: {error.strerror or error}") from error


def _check_place(path: Path, suffix: str, form: str) -> None:
    if suffix and path.suffix != suffix:
        raise UserError(f"--out={path} should end with {suffix} for --format={form}")
    if not path.parent.is_dir():
        raise UserError(f"--out={path}: {path.parent} is no folder; make it, or change --out")
    if suffix and path.is_dir():
        raise UserError(f"--out={path} is a folder, expected a file; change --out")
    if not suffix and path.exists():
        raise UserError(f"--out={path} exists, expected a new folder; change --out")


def _difference(kind: _Kind, path: Path, predictor: Predictor, size: int) -> float:
    images = classify.random_images(predictor, size)
    expected = np.asarray(jax.jit(classify.classifier(predictor))(images)["logits"])
    found = kind.logits(path, predictor, images)
    largest = float(np.abs(expected).max()) or 1.0
    return float(np.abs(found - expected).max()) / largest


def _write_stablehlo(path: Path, predictor: Predictor) -> None:
    stablehlo.write(path, classify.classifier(predictor), predictor.image_shape)
    classify.write_description(path, predictor)


def _write_onnx(path: Path, predictor: Predictor) -> None:
    shape = predictor.image_shape
    function = classify.classifier(predictor)
    graph = from_jaxpr.to_graph(function, shape, jnp.uint8, classify.IMAGES)
    outputs = dict.fromkeys(classify.OUTPUTS, len(predictor.class_names))
    described = classify.describe(predictor)
    onnx_file.write(path, graph, (classify.IMAGES, shape), outputs, described)


def _by_weights(path: Path, predictor: Predictor, images: np.ndarray) -> np.ndarray:
    """Computes with the weights as fine-tuning would read them."""
    again = dataclasses.replace(predictor, variables=library_weights.read(path, predictor))
    return np.asarray(jax.jit(classify.classifier(again))(images)["logits"])


def _by_stablehlo(path: Path, predictor: Predictor, images: np.ndarray) -> np.ndarray:
    del predictor
    return stablehlo.compute(path, images)["logits"]


def _by_onnx(path: Path, predictor: Predictor, images: np.ndarray) -> np.ndarray:
    del predictor
    return onnx_file.compute(path, images)["logits"]


_KINDS: dict[str, _Kind] = {
    "stablehlo": _Kind(_write_stablehlo, _by_stablehlo, ".stablehlo"),
    "onnx": _Kind(_write_onnx, _by_onnx, ".onnx"),
    "safetensors": _Kind(library_weights.write_ours, _by_weights),
    "hub": _Kind(library_weights.write_hub, _by_weights, ""),
    "transformers": _Kind(library_weights.write_transformers, _by_weights, ""),
    "timm": _Kind(library_weights.write_timm, _by_weights),
    "vit_pytorch": _Kind(library_weights.write_vit_pytorch, _by_weights),
}
