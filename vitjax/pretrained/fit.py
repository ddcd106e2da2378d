"""From converted arrays to a model's variables: what must change, and what does not fit."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from vitjax.errors import UserError
from vitjax.pretrained import resize
from vitjax.pretrained.convert import Arrays, Converted
from vitjax.text import brief

_HEAD = "params/head/"
_SHOWN = 4  # lines of a list that may be as long as the file makes it
_INDEX = re.compile(r"(?<=[._])\d+(?=[./])")  # of a layer, in a path of ours or of theirs
_END = re.compile(r".*\.(num_batches_tracked|relative_position_index|attn_mask)")
_BY_TOKENS = {  # end of a path: how it is made for another number of tokens
    "position_embedding": resize.position_embedding,
    "key_projection": resize.length_projection,
    "value_projection": resize.length_projection,
}
_POOLING = "config.model.pool, config.model.final_norm and config.model.norm_after_pool"
_PATCHES = "config.model.patch_size and config.data.channels"
_BEING = {"final_norm/scale": _POOLING, "pool_norm/scale": _POOLING}  # path: options it is there by
_SHAPES = {  # path: options of its shape
    "stem/kernel": _PATCHES,
    "stem/embedding/kernel": _PATCHES,
    "stage_0/conv_0/kernel": "config.model.width and config.data.channels",
}


def fit(
    converted: Converted,
    fresh: Any,
    model: nn.Module,
    image_shape: tuple[int, int, int],
    what: str,
    trained_on: resize.Size | None = None,
) -> tuple[Any, list[str]]:
    """Returns variables for `model` on images [H, W, C], and what was changed, a line each.

    `fresh` are variables of the model: they give the shapes, and the head where the classes differ.
    `trained_on` is the size of the images that the weights are of, where it is known.
    Raises UserError that shows what does not fit, of each kind; `what` names the source in it.
    """
    template = flatten_dict(fresh, sep="/")
    arrays = dict(converted.arrays)
    _check_dtypes(arrays, what)
    notes: list[str] = []
    _restem(arrays, template, model)
    _resize(arrays, template, model, (image_shape[:2], trained_on), notes)
    head = _swap_head(arrays, template, notes)
    _drop_empty(arrays, template, converted, notes)
    _check(arrays, template, head, converted, what)
    if converted.ignored:
        notes.append(f"left out, as nothing here needs it: {_listed(_endings(converted.ignored))}")
    if doubt := converted.doubt(model, image_shape):
        notes.append(doubt)
    given = {path: np.asarray(arrays[path], np.float32) for path in template if path in arrays}
    broken = {path: "" for path, array in given.items() if not np.isfinite(array).all()}
    if broken:
        raise UserError(f"{what} holds NaN or infinity in {_listed(broken)}")
    return unflatten_dict(template | given, sep="/"), notes


def _check_dtypes(arrays: Arrays, what: str) -> None:
    """Raises UserError that lists arrays of anything but floating-point numbers."""
    others = {
        _short(path): f": {array.dtype}"
        for path, array in arrays.items()
        if not jnp.issubdtype(array.dtype, jnp.floating)
    }
    if others:
        raise UserError(
            f"{what} holds what is no floating-point number in {_listed(others)}; "
            "expected weights that are not quantised; change config.finetune.weights"
        )


def _restem(arrays: Arrays, template: Mapping[str, Any], model: Any) -> None:
    """Stores the patch embedding as the model does: as a convolution or as a linear layer."""
    conv, linear = "params/stem/", "params/stem/embedding/"
    for old, new in ((conv, linear), (linear, conv)):
        for name in ("kernel", "bias"):
            if old + name in arrays and new + name in template:
                array, wanted = arrays.pop(old + name), template[new + name].shape
                same = array.size == math.prod(wanted) and array.shape[-1:] == wanted[-1:]
                if array.ndim == 4:  # a linear layer does not show the shape of its patches
                    same = same and array.shape[:2] == (model.patch_size, model.patch_size)
                arrays[new + name] = array.reshape(wanted) if same else array


def _resize(
    arrays: Arrays,
    template: Mapping[str, Any],
    model: nn.Module,
    sizes: tuple[resize.Size, resize.Size | None],
    notes: list[str],
) -> None:
    """Resizes what depends on the number of tokens or the window; notes it.

    `sizes` are those of images here, and of those that the weights are of, where it is known.
    """
    done = {}
    for path in sorted(arrays.keys() & template.keys()):
        old, wanted = arrays[path], template[path].shape
        if old.ndim == len(wanted) - 1 and wanted[0] == 1:  # vit-pytorch's positions lack this axis
            old = arrays[path] = old[None]
        if not _differ_in_one_axis_at_most(old.shape, wanted):
            continue
        found = _resized(path, old, wanted, model, sizes)
        if found is not None and found[1].shape == wanted:
            text, arrays[path] = found
            done[text.format(_short(path))] = ""
    notes.extend(_grouped(done))


def _resized(
    path: str,
    old: np.ndarray,
    wanted: tuple[int, ...],
    model: Any,
    sizes: tuple[resize.Size, resize.Size | None],
) -> tuple[str, np.ndarray] | None:
    """Returns what was done to an array, with {} for its path, and the array; None for nothing."""
    leaf = path.rpartition("/")[2]
    if leaf in _BY_TOKENS:
        here, known = (size and _grid(size, model) for size in sizes)
        assert here is not None
        return _for_tokens(_BY_TOKENS[leaf], old, max(wanted[:-1]), here, known)
    if leaf != "relative_position_bias" or old.shape == wanted:
        return None
    (stage,) = re.findall(r"stage_(\d+)/", path)
    window = model.windows(*sizes[0])[int(stage)].size
    found = resize.relative_positions(old, wanted[0], window)
    return found and (f"{found[0]} from {old.shape} to {wanted}", found[1])


def _for_tokens(
    resized: Callable[..., np.ndarray],
    old: np.ndarray,
    num_rows: int,
    here: resize.Size,
    known: resize.Size | None,
) -> tuple[str, np.ndarray] | None:
    """Does what `_resized` does, for an array with a row a token, `num_rows` in the model."""
    num_others = num_rows - math.prod(here)
    num_patches = max(old.shape[:-1]) - num_others
    grid = resize.grid_of(num_patches, here, known)
    if grid is None:
        return None
    if grid != here:
        before = f"{num_others} + " if num_others else ""
        text = f"resized {{}} of {before}{_by(grid)} tokens to {_by(here)}"
        return text, resized(old, grid, here, num_others)
    side = math.isqrt(num_patches)
    if here in (known, (side, side)) or side**2 != num_patches:
        return None
    return f"{{}} is taken to be of {_by(here)} tokens, as here, not of {_by((side, side))}", old


def _grid(size: resize.Size, model: Any) -> resize.Size:
    """Returns the patches, down and along, of images of such a size."""
    return size[0] // model.patch_size, size[1] // model.patch_size


def _by(size: resize.Size) -> str:
    return f"{size[0]}x{size[1]}"


def _differ_in_one_axis_at_most(old: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether shapes are equal but for one axis, as of an array that resizing may fit."""
    if len(old) != len(wanted) or 0 in old:
        return False
    return sum(a != b for a, b in zip(old, wanted, strict=True)) <= 1


def _swap_head(arrays: Arrays, template: Mapping[str, Any], notes: list[str]) -> set[str]:
    """Drops a head for other classes, or that the model lacks; returns the paths left fresh."""
    theirs, ours = (_num_classes(tree) for tree in (arrays, template))
    given = [path for path in arrays if path.startswith(_HEAD)]
    if theirs == ours or (given and not theirs):  # without its kernel it is a misfit
        return set()
    for path in given:
        del arrays[path]
    if theirs:
        notes.append(f"left out the head for {theirs} classes")
    if ours:
        notes.append(f"the head for {ours} classes begins anew")
    return {path for path in template if path.startswith(_HEAD)}


def _num_classes(tree: Mapping[str, Any]) -> int:
    """Returns the classes of the head among these paths; 0 without one."""
    kernel = tree.get(_HEAD + "logits/kernel")
    return kernel.shape[-1] if kernel is not None and kernel.ndim else 0


def _drop_empty(
    arrays: Arrays, template: Mapping[str, Any], converted: Converted, notes: list[str]
) -> None:
    """Drops arrays without numbers that the model lacks, such as no class token at all."""
    empty = [path for path in arrays.keys() - template.keys() if not arrays[path].size]
    for path in empty:
        del arrays[path]
    if empty:
        names = dict.fromkeys((converted.names[path] for path in sorted(empty)), "")
        notes.append(f"left out, as it is empty: {_listed(names)}")


def _check(
    arrays: Arrays,
    template: Mapping[str, Any],
    fresh_head: set[str],
    converted: Converted,
    what: str,
) -> None:
    """Raises UserError that shows misfits of each kind with both sides."""
    missing, more, shapes, unknown = {}, {}, {}, {}
    unjoined = converted.parts.keys() - converted.arrays.keys()
    for path in sorted(unjoined):
        shapes[_short(path)] = f": {converted.parts[path]} in the file, expected equal shapes"
    for path in sorted(template.keys() - arrays.keys() - fresh_head - unjoined):
        missing[_short(path)] = f": not in the file, {template[path].shape} in the model"
    for path in sorted(arrays.keys() - template.keys()):
        name = converted.names.get(path, path)
        more[name] = f": {arrays[path].shape} in the file, no {_short(path)} in the model"
    for path in sorted(arrays.keys() & template.keys()):
        old, new = arrays[path].shape, template[path].shape
        if old != new:
            parts = f", of {converted.parts[path]}" if path in converted.parts else ""
            shapes[_short(path)] = f": {old} in the file{parts}, {new} in the model"
    for name, shape in converted.unknown.items():
        unknown[name] = f": {shape} in the file, of no known meaning"
    misfits = [missing, more, shapes, unknown]
    if number := sum(map(len, misfits)):
        lines = [_listed(kind) for kind in misfits if kind]
        for table, wrong in ((_BEING, missing), (_SHAPES, shapes)):
            lines += [f"{path} depends on {o}" for path, o in table.items() if path in wrong]
        raise UserError(
            f"{what} does not fit the model in {number} array(s): {'; '.join(lines)}. "
            "Change config.model or config.finetune.weights"
        )


def _short(path: str) -> str:
    return path.removeprefix("params/")


def _endings(names: Iterable[str]) -> dict[str, str]:
    """Returns names; of those that say by their end what they are, the ends alone."""
    return dict.fromkeys((_END.sub(r"*.\1", name) for name in names), "")


def _listed(texts: Mapping[str, str]) -> str:
    """Returns the first of these lines, grouped, as one."""
    lines = _grouped(texts)
    more = [f"and {len(lines) - _SHOWN} more such"] if len(lines) > _SHOWN else []
    return "; ".join(lines[:_SHOWN] + more)


def _grouped(texts: Mapping[str, str]) -> list[str]:
    """Returns "name, text" lines; those that differ in a layer's number alone as one, counted."""
    groups: dict[str, list[str]] = {}
    for name, text in texts.items():
        groups.setdefault(_INDEX.sub("*", name + text), []).append(name + text)
    return [
        brief(lines[0], 300) if len(lines) == 1 else f"{brief(group, 300)} ({len(lines)} such)"
        for group, lines in groups.items()
    ]
