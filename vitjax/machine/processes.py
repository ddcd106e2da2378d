"""The processes that share a run through `jax.distributed`: they begin, agree and end together.

A run of one process is a group of one, which agrees with itself at once.
"""

import contextlib
import hashlib
import itertools
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils

from vitjax.errors import UserError
from vitjax.machine import signals, supervise
from vitjax.text import one_line

HEARTBEAT_SECONDS = 30  # without a sign of life, after which a process counts as lost
_TEXT_BYTES = 2048
_WEEK_MS = 7 * 24 * 3600 * 1000
_meetings = itertools.count()

# What errors say that come of a broken connection: of CPUs (Gloo), GPUs (NCCL), the service.
_BROKEN = re.compile(
    "Gloo|NCCL|[Cc]oordination|[Bb]arrier|[Hh]eartbeat|UNAVAILABLE|DEADLINE_EXCEEDED|"
    "Connection (closed|reset|refused)|Socket closed"
)


def is_first() -> bool:
    """Whether this process is the one that speaks and writes."""
    return jax.process_index() == 0


def all_of(number: int) -> list[int]:
    """Returns the number that each process gave."""
    if jax.process_count() == 1:
        return [number]
    found = multihost_utils.process_allgather(np.asarray([number], np.int32), tiled=True)
    return [int(each) for each in found]


def texts_of_all(text: str) -> list[str]:
    """Returns the text, of 2048 bytes at most, that each process gave."""
    if jax.process_count() == 1:
        return [text]
    own = text.encode()[:_TEXT_BYTES].ljust(_TEXT_BYTES, b"\0")
    found = multihost_utils.process_allgather(np.frombuffer(own, np.uint8))
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in found]


def of_first(text: str) -> str:
    """Returns the text that the first process gave."""
    return texts_of_all(text)[0]


def arrays_of(tree: Any, *, is_owner: bool) -> Any:
    """Returns a tree of NumPy arrays as one process, its owner, has it, in all of them.

    The others give one of the same shapes.
    """
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    own = np.frombuffer(b"".join(leaf.tobytes() for leaf in leaves), np.uint8)
    found = np.asarray(multihost_utils.broadcast_one_to_all(own, is_source=is_owner))
    parts = np.split(found, np.cumsum([leaf.nbytes for leaf in leaves])[:-1])
    arrays = [
        np.frombuffer(part.tobytes(), leaf.dtype).reshape(leaf.shape)
        for part, leaf in zip(parts, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, arrays)


def wait_for_all(where: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


@contextlib.contextmanager
def agreed() -> Iterator[None]:
    """Ends the block when all processes have; a UserError of one of them is raised by all.

    Within the block a process waits for others in blocks of this kind alone.
    """
    own = None
    try:
        yield
    except UserError as error:
        if error.everywhere or jax.process_count() == 1:
            raise
        own = error
    _meet()
    said = texts_of_all("" if own is None else str(own))
    failed = [process for process, text in enumerate(said) if text]
    if failed:
        raise _everywhere(own or UserError(f"process {failed[0]}: {said[failed[0]]}"))


def _meet() -> None:
    """Returns when every process has come here, however long one of them takes.

    What devices exchange does not wait so long: on CPUs Gloo gives up after half an hour.
    """
    client = distributed.global_state.client  # of which JAX has no public name
    if client is not None:
        client.wait_at_barrier(f"vitjax_{next(_meetings)}", _WEEK_MS)


def check_same(what: str, value: str) -> None:
    """Raises UserError on all processes unless each has given the same value."""
    found = texts_of_all(hashlib.sha256(value.encode()).hexdigest())
    for process, each in enumerate(found):
        if each != found[0]:
            raise _everywhere(UserError(f"process {process} has another {what} than process 0"))


def _everywhere(error: UserError) -> UserError:
    error.everywhere = True
    return error


def join(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    seconds: int = 300,
) -> "Group":
    """Joins the other processes of a run, before JAX begins, and waits `seconds` for them.

    Without `coordinator` (HOST:PORT of process 0) JAX looks for a cluster, which tells all three.
    Raises UserError for what does not fit. Where the others do not come, or one is lost later, JAX
    ends the process, and one line says so.
    """
    _check(coordinator, num_processes, process_id)
    supervise.set_last_words(
        f"error: not all processes met at {coordinator or 'the first host of the cluster'} within "
        f"{seconds} s; start as many as --num_processes or the cluster says, all with the same "
        "--coordinator, where all can reach it"
    )
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except Exception as error:  # each kind of cluster has its own
        raise UserError(_cannot_join(coordinator, error)) from error
    signals.listen()  # JAX took SIGTERM for a notice that nothing here asks for
    supervise.set_last_words(
        f"error: {{lost}} of {jax.process_count()} was lost (killed, or it said why itself); the "
        "same command, on as many processes as there are, goes on from the last checkpoint"
    )
    if not is_first():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return Group()


def _check(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    given = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 3:
        return
    if missing:
        raise UserError(
            f"{' and '.join(missing)} missing; give --coordinator=HOST:PORT, --num_processes and "
            "--process_id, or --distributed alone where a cluster tells them"
        )
    assert coordinator is not None
    assert num_processes is not None
    assert process_id is not None
    if not re.fullmatch(r".+:\d+", coordinator):
        raise UserError(f"--coordinator={coordinator} should be HOST:PORT of process 0")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process_id={process_id} should be from 0 to {num_processes - 1}, one below "
            f"--num_processes={num_processes}"
        )
    port = int(coordinator.rpartition(":")[2])
    if process_id == 0:
        try:  # JAX would crash
            socket.create_server(("", port)).close()
        except (OSError, OverflowError) as error:
            raise UserError(
                f"port {port} of --coordinator={coordinator} is taken, or no port; choose another"
            ) from error


def _cannot_join(coordinator: str | None, error: Exception) -> str:
    if coordinator:
        return f"cannot join the processes at --coordinator={coordinator}: {one_line(error)}"
    why = "" if isinstance(error, ValueError) else f" ({one_line(error)})"
    return (
        f"--distributed finds no cluster{why}; JAX knows TPU slices, SLURM, Open MPI and, with "
        "jax[k8s], Kubernetes; elsewhere give --coordinator=HOST:PORT, --num_processes and "
        "--process_id"
    )


class Group:
    """The processes that this one has joined, until it leaves them."""

    def __init__(self) -> None:
        self._alone = False

    def is_to_say(self, error: BaseException) -> bool:
        """Returns whether this process says the error that ends it; the first says one of all."""
        if getattr(error, "everywhere", False):
            return is_first()
        if _BROKEN.search(_chain(error)):
            # If a process is lost, JAX ends this one soon, and what supervises it says which.
            time.sleep(HEARTBEAT_SECONDS + 15)
        self._alone = True
        return True

    def leave(self, code: int) -> None:
        """Ends this process with all others; or at once where it fails alone, as they go on."""
        if not self._alone:
            with contextlib.suppress(Exception):
                jax.distributed.shutdown()
                return
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a usual end would wait for the others


def _chain(error: BaseException | None) -> str:
    """Returns the messages of an error and of those that it came of."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)
