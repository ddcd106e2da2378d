"""All origins, and which of them a file is."""

import re
from collections.abc import Mapping

import numpy as np

from vitjax.errors import UserError
from vitjax.pretrained.convert import Converted, Origin, convert
from vitjax.pretrained.libraries import google, hugging_face, lucidrains, timm
from vitjax.text import brief

_ORIGINS = (  # the first that fits is taken
    hugging_face.SWIN,  # without its prefix it begins as a ViT
    hugging_face.VIT,
    hugging_face.RESNET,
    timm.SWIN_OF_ITS_AUTHORS,
    timm.SWIN,
    timm.VIT,
    timm.MIXER,
    timm.RESNET,
    timm.VGG,
    google.VIT,
    google.MIXER,
    lucidrains.VIT_PYTORCH,
    lucidrains.VIT_PYTORCH_BEFORE_1,
)
_OWN = re.compile("(params|batch_stats)/")


def to_ours(
    tensors: Mapping[str, np.ndarray], model_class: str, source: str
) -> tuple[str, Converted]:
    """Returns what a file is, in words, and its arrays under our paths.

    Raises UserError where its names are of no known origin, or of one for another model than the
    class `model_class` of vitjax.models.
    """
    names = list(tensors)
    if names and all(_OWN.match(name) for name in names):
        return "vitjax", Converted(dict(tensors), {name: name for name in names}, {}, [], {})
    origin = _recognise(names, source)
    if model_class not in origin.models:
        raise UserError(
            f"{source} is {origin.title}, for the model {' or '.join(origin.models)}, and "
            f"config.model_name is a {model_class}; change config.model_name or "
            "config.finetune.weights"
        )
    return origin.title, convert(tensors, origin)


def _recognise(names: list[str], source: str) -> Origin:
    """Returns the origin of a file with these names; raises UserError that shows some."""
    for origin in _ORIGINS:
        if origin.fits(names):
            return origin
    shown = ", ".join(brief(name, 100) for name in sorted(names)[:4]) or "none"
    raise UserError(
        f"{source} is of no known origin: it has {len(names)} arrays ({shown}, ...), expected "
        f"those of {', '.join(origin.title for origin in _ORIGINS)}, or vitjax's own; change "
        "config.finetune.weights"
    )
