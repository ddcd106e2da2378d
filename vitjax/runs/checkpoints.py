"""Checkpoints: the newest and the best, written in the background, verified when read.

The only importer of Orbax.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from vitjax.errors import UserError
from vitjax.machine import processes
from vitjax.runs import manifest
from vitjax.runs.manifest import ORBAX_METADATA
from vitjax.text import one_line

# What the run's files say of the state at a step, by file.
MadeWith = Callable[[int], Mapping[str, Any]]

_UNFINISHED = ".orbax-checkpoint-tmp"  # what Orbax calls a folder that it writes
_PRUNED = "pruned"  # where steps that are not kept go at once, whole, before they are deleted
_KEEP_NEWEST = 2  # so that one is whole if a kill or a damage hits the other


@dataclasses.dataclass
class _Keep:
    """Orbax preservation policy: the newest few, and the best."""

    best_step: int | None = None

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Returns which of the checkpoints, oldest first, to keep."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        return [step in steps[-_KEEP_NEWEST:] or step == self.best_step for step in steps]


class Checkpoints:
    """The checkpoints in one folder, one subfolder a step, each with a sha256 manifest."""

    def __init__(
        self,
        folder: Path,
        on_status: Callable[[str], None] = print,
        *,
        made_with: MadeWith = lambda step: {},
        alone: bool = False,
    ):
        """Opens a folder; `alone`: for the first process only, which asks no other to write along.

        The manifest of a step keeps what `made_with` tells, and a state is not restored where that
        is otherwise by then.
        """
        self._alone = alone
        self._decides = processes.is_first()  # verifies, sets aside and seals steps
        self._made_with, self._in_flight = made_with, (0, dict[str, Any]())
        self._folder = folder.absolute()
        self._say = on_status
        self._keep = _Keep()
        if alone:  # Orbax makes no folder for one process of several
            self._folder.mkdir(parents=True, exist_ok=True)
        with self._agreed():
            if self._decides:
                self._verify()
                self._delete_pruned()
        self._manager = self._open(create=not alone)

    def _open(self, *, create: bool) -> ocp.CheckpointManager:
        """Opens the folder; raises UserError for a file of Orbax that it cannot read."""
        options = ocp.CheckpointManagerOptions(
            create=create,
            preservation_policy=policies.AnyPreservationPolicy([self._keep]),
            cleanup_tmp_directories=True,
            todelete_subdir=_PRUNED,
            multiprocessing_options=self._processes(),
            async_options=ocp.options.AsyncOptions(
                create_directories_asynchronously=False,
                # Orbax calls it when all is written, and then renames the folder.
                post_finalization_callback=self._seal if self._decides else None,
            ),
        )
        try:
            return ocp.CheckpointManager(self._folder, options=options)
        except ValueError as error:
            raise UserError(
                f"a file {ORBAX_METADATA} in {self._folder} cannot be read ({one_line(error)}); "
                "delete it: no state is in it"
            ) from error

    def _agreed(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self._alone else processes.agreed()

    def _processes(self) -> ocp.options.MultiprocessingOptions:
        if not self._alone or jax.process_count() == 1:
            return ocp.options.MultiprocessingOptions()
        return ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="alone"
        )

    @property
    def best_step(self) -> int | None:
        """The step to keep beside the newest."""
        return self._keep.best_step

    @best_step.setter
    def best_step(self, step: int | None) -> None:
        self._keep.best_step = step

    def steps(self) -> list[int]:
        """Returns the steps that can be restored, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, *, best: bool = False) -> None:
        """Writes `state` in the background; keeps it beyond the newest two if it is the best."""
        self.wait()
        if best:
            self.best_step = step
        if self._decides:
            self._delete_pruned()
            self._in_flight = step, dict(self._made_with(step))
        with self._writing():
            if not self._manager.save(step, args=ocp.args.StandardSave(state)):
                raise ValueError(f"step {step} is not after {self.steps()[-1]}, which is there")

    def restore(self, like: Any) -> Any | None:
        """Returns the newest whole state, shaped and placed like `like`; None without any.

        `like` may be a function of the step, where the shapes of what was saved decide. Raises
        UserError if it cannot be read or the run's files do not fit it, or if steps exist and none
        is whole.
        """
        if steps := self.steps():
            return self._restore(steps[-1], like)  # looked at when the folder was opened
        if (self._folder / "damaged").exists():
            raise UserError(
                f"no checkpoint in {self._folder} can be read; they lie in its folder 'damaged'. "
                "Start again with another --workdir"
            )
        return None

    def restore_step(self, step: int, like: Any) -> Any:
        """Returns the state of `step`, as `restore` does, if it is still as it was written."""
        folder = self._folder / str(step)
        with self._agreed():
            if self._decides and (wrong := manifest.changed_file(folder)):
                raise UserError(
                    f"checkpoint {folder} is damaged ({wrong} changed); the same command sets it "
                    "aside and goes on from another"
                )
        return self._restore(step, like)

    def _restore(self, step: int, like: Any) -> Any:
        folder = self._folder / str(step)
        with self._agreed():
            if self._decides:
                manifest.check(folder, self._made_with(step))
        with self._agreed():
            like = like(step) if callable(like) else like
            target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
            try:
                return self._manager.restore(step, args=ocp.args.StandardRestore(target))
            except Exception as error:  # Orbax raises bare Exceptions for damaged files
                reason = str(error).strip().split("\n")[0][:200]
                raise UserError(f"checkpoint {folder} cannot be read: {reason}") from error

    def shape(self, step: int, name: str) -> tuple[int, ...]:
        """Returns the shape of an array that stands at the top of the state of `step`."""
        path = self._folder / str(step)
        try:
            return tuple(ocp.PyTreeCheckpointHandler().metadata(path / "default").tree[name].shape)
        except Exception as error:  # as restore_step
            raise UserError(f"checkpoint {path} cannot be read: {one_line(error)}") from error

    def wait(self) -> None:
        """Waits until the last save is on disk."""
        with self._writing():
            self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns what Orbax raises when a disk is full or gone into a UserError."""
        try:
            yield
        except Exception as error:  # Orbax has no type for it
            reason = str(error).strip().split("\n")[0][:200]
            raise UserError(f"cannot write a checkpoint to {self._folder}: {reason}") from error

    def close(self) -> None:
        """Waits for the last save, then frees Orbax's threads."""
        self.wait()
        self._manager.close()
        if self._decides:
            self._delete_pruned()

    def _delete_pruned(self) -> None:
        shutil.rmtree(self._folder / _PRUNED, ignore_errors=True)

    def _seal(self) -> None:
        """Writes the manifest of the step in flight, which gets its name when that is done."""
        step, made_with = self._in_flight
        folder = self._folder / f"{step}{_UNFINISHED}"
        whole = folder if folder.exists() else self._folder / str(step)
        if not (whole / "default" / "manifest.ocdbt").is_file():
            raise UserError(f"Orbax has left the arrays of step {step} out of it")
        manifest.seal(whole, step, made_with)

    def _verify(self) -> None:
        """Sets aside the steps that are not whole."""
        whole = manifest.saved_steps(self._folder)
        for step in manifest.step_folders(self._folder):
            folder = self._folder / str(step)
            if step not in whole:
                self._say(f"{folder} {manifest.why_not(folder)}, and is set aside")
                self._set_aside(step, "unfinished")
            elif wrong := manifest.changed_file(folder):
                self._say(f"checkpoint {folder} is damaged ({wrong} changed) and set aside")
                self._set_aside(step, "damaged")

    def _set_aside(self, step: int, where: str) -> None:
        place = self._folder / where / str(step)
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.parent.mkdir(exist_ok=True)
            (self._folder / str(step)).rename(place)
        except OSError as error:
            raise UserError(
                f"cannot set {self._folder / str(step)} aside in {place.parent}: {error.strerror}; "
                "move one of them away"
            ) from error


def read(folder: Path, step: int, names: Sequence[str]) -> dict[str, Any]:
    """Returns parts of the state of `step` as dicts of NumPy arrays, and changes nothing on disk.

    So a run can be read while it trains. A part that was None or empty is {}. Raises UserError
    for a damaged checkpoint.
    """
    path = folder.absolute() / str(step)
    if wrong := manifest.changed_file(path):
        raise UserError(f"checkpoint {path} is damaged ({wrong} changed); load another step")
    try:
        wanted = _outline(path / "default", names)
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        arguments = ocp.args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True)
        found = ocp.PyTreeCheckpointHandler().restore(path / "default", args=arguments)
    except Exception as error:  # Orbax raises bare Exceptions for damaged files
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(f"checkpoint {path} cannot be read: {reason}") from error
    return {name: found.get(name, {}) for name in names}


def _outline(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Returns the tree of the arrays that were saved under `names`, with 0 for each.

    From the file in which Orbax says so: its own metadata() opens all arrays to tell their shapes.
    """
    tree: dict[str, Any] = {}
    for entry in json.loads((path / "_METADATA").read_text())["tree_metadata"].values():
        *parents, last = [each["key"] for each in entry["key_metadata"]]
        if entry["value_metadata"]["skip_deserialize"] or (parents or [last])[0] not in names:
            continue
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = 0
    return tree
