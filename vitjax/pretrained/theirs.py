"""From vitjax's names and layouts to another library's: the tables of `convert`, read backwards.

Where a rule allows several names, the first alternative is what the library writes today, and what
is optional is there; "(?:|x)" allows x and leaves it out.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from vitjax.errors import UserError
from vitjax.pretrained.convert import Arrays, Origin
from vitjax.text import brief

_GROUP = re.compile(r"\((?!\?)[^()]*\)")  # (\d+): stands for itself on both sides
_CHOICE = re.compile(r"\(\?:([^()|]*)(?:\|[^()]*)?\)\??")


def to_theirs(arrays: Arrays, origin: Origin, patch_kernel: tuple[int, ...] = ()) -> Arrays:
    """Returns arrays by path, params/head/logits/kernel, under the names of a library of torch.

    `patch_kernel` is [P, P, C], where the patch embedding is a convolution there. Raises UserError
    that names what the library's network lacks.
    """
    rules = list(_backwards(origin.rules_for(arrays)))
    found, unknown = {}, []
    for path, array in arrays.items():
        collection, _, place = path.partition("/")
        if patch_kernel and place.startswith("stem/embedding/"):
            place = place.replace("embedding/", "")
            array = array.reshape(*patch_kernel, -1) if array.ndim > 1 else array
        named = _named(collection, place, array, rules)
        found.update(named)
        unknown += [] if named else [place]
    if unknown:
        raise UserError(
            f"{origin.title} has no {', '.join(brief(name, 60) for name in unknown[:4])}; choose "
            "--format=safetensors, stablehlo or onnx"
        )
    return found


def _backwards(rules: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields a regular expression of our paths, and what it is in the library, in parts."""
    names: dict[str, list[str]] = {}
    whole = set()  # what one array of theirs is, by the first rule
    for pattern, place in rules.items():
        ours, _, part = place.partition("@")
        theirs = _CHOICE.sub(r"\1", pattern if "(" in pattern else pattern.partition("|")[0])
        for i, group in enumerate(_GROUP.findall(theirs), start=1):
            ours, theirs = ours.replace(f"\\{i}", group), theirs.replace(group, f"\\{i}", 1)
        if ours not in whole:
            names.setdefault(ours, []).append(theirs.replace(r"\.", "."))
        if not part:
            whole.add(ours)
    for ours, parts in names.items():
        yield ours, " ".join(parts)


def _named(
    collection: str, place: str, array: np.ndarray, rules: list[tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Returns an array of ours as it is in the library; nothing where it has no name there."""
    layer, _, leaf = place.rpartition("/")
    for pattern, template in rules:
        if match := re.fullmatch(pattern, place):
            return {match.expand(template): array}
        if match := re.fullmatch(pattern, layer):
            names = match.expand(template).split()
            parts = np.split(array, len(names), axis=-1)
            pairs = zip(names, parts, strict=True)
            return dict(
                pair for name, part in pairs for pair in _torch_leaf(name, collection, leaf, part)
            )
    return {}


def _torch_leaf(
    layer: str, collection: str, leaf: str, value: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Undoes `convert.torch_leaf`; a running mean comes with torch's count of the batches, too."""
    if collection == "batch_stats":
        yield f"{layer}.running_{leaf}", value
        if leaf == "mean":
            yield f"{layer}.num_batches_tracked", np.zeros((), np.int64)
    elif leaf == "kernel":
        yield f"{layer}.weight", np.ascontiguousarray(np.moveaxis(value, (-1, -2), (0, 1)))
    else:
        yield f"{layer}.{'weight' if leaf == 'scale' else leaf}", value
