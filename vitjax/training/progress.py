"""What a run shows on the terminal."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tqdm.auto import tqdm

from vitjax.runs.selection import score

Say = Callable[[str], None]

_QUIET_SECONDS = 3.0  # after which is said what goes on
# Of a compiled call, where the config leaves its length open. XLA takes new memory for each call,
# which costs a CPU a third of a step; a signal waits for the end of a call.
_CALL_SECONDS = 2.0


class Pace:
    """How many steps the next compiled call runs: `steps_per_call`, or two seconds' worth."""

    def __init__(self, steps_per_call: int):
        self._given = steps_per_call
        self.steps = steps_per_call or 1

    def took(self, steps: int, seconds: float) -> None:
        """Learns from a call of `steps` that took `seconds`."""
        if not self._given:
            wanted = int(steps * _CALL_SECONDS / seconds)
            self.steps = max(1, min(8 * self.steps, wanted))


def in_notebook() -> bool:
    """Whether this is a notebook, whose output is no terminal and shows bars all the same."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")  # Jupyter's, Colab's


class EpochBar:
    """A bar over one epoch's steps with loss, accuracy, images/s and the time left."""

    def __init__(
        self,
        epoch: int,
        num_epochs: int,
        steps: int,
        done: int,
        batch_size: int,
        *,
        hidden: bool = False,
    ):
        self._batch_size = batch_size
        off = False if in_notebook() else None  # None: no bar unless on a terminal
        self._bar = tqdm(
            total=steps,
            initial=done,
            desc=f"epoch {epoch}/{num_epochs}",
            unit="step",
            leave=False,
            disable=hidden or off,
            dynamic_ncols=True,
        )

    def update(self, steps: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """Moves the bar by `steps` that took `seconds`."""
        self._bar.set_postfix_str(
            f"loss {metrics['loss']:.4f}, accuracy {metrics['accuracy']:.4f}, "
            f"{steps * self._batch_size / max(seconds, 1e-9):,.0f} images/s",
            refresh=False,
        )
        self._bar.update(steps)

    def __enter__(self) -> "EpochBar":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._bar.close()


def epoch_line(line: Mapping[str, Any], num_epochs: int, best: bool) -> str:
    """Returns an epoch's line of metrics.jsonl as text."""
    parts = [f"epoch {line['epoch']:>{len(str(num_epochs))}}/{num_epochs}"]
    for split in ("train", "valid"):
        if f"{split}_loss" in line:
            loss, accuracy = line[f"{split}_loss"], line[f"{split}_accuracy"]
            parts.append(f"{split} loss {loss:.4f} accuracy {accuracy:.4f}")
    parts.append(f"lr {line['lr']:.2e}")
    if "skipped" in line:
        parts.append(f"left out {line['skipped']} steps, not finite")
    parts.append(f"{line['images_per_second']:,.0f} images/s")
    parts.append(f"{line['seconds']:.1f} s")
    if "data_wait" in line:
        parts.append(f"waited for data {line['data_wait']:.0%}")
    return "  ".join(parts) + ("  best" if best else "")


def members_line(lines: Mapping[str, Mapping[str, Any]], select_by: str, num_epochs: int) -> str:
    """Returns an epoch of several members, name -> line of metrics.jsonl, as text: the best one."""
    name = max(lines, key=lambda name: score(lines[name], select_by))
    line, seconds = lines[name], sum(each["seconds"] for each in lines.values())
    return (
        f"epoch {line['epoch']}/{num_epochs}  {len(lines)} members  best valid loss "
        f"{line['valid_loss']:.4f} accuracy {line['valid_accuracy']:.4f} ({name})  {seconds:.1f} s"
    )


def result_table(result: Mapping[str, Any], workdir: Any) -> str:
    """Returns the table that ends a run."""
    rows = [("split", "accuracy", "loss")]
    for split in ("train", "valid"):
        if f"{split}_accuracy" in result:
            accuracy, loss = result[f"{split}_accuracy"], result[f"{split}_loss"]
            rows.append((split, f"{accuracy:.4f}", f"{loss:.4f}"))
    rows.append((result["split"], f"{result['accuracy']:.4f}", f"{result['loss']:.4f}"))
    lines = [f"{a:<8}{b:>10}{c:>10}" for a, b, c in rows]
    chosen = "best on validation" if "valid_accuracy" in result else "last"
    lines.append(
        f"epoch {result['epoch']} of {result['num_epochs_run']} ({chosen}), "
        f"{result['num_params']:,} parameters, {result['seconds']:.0f} s of training"
    )
    lines.append(f"config.json, metrics.jsonl, eval.json and checkpoints/ lie in {workdir}")
    return "\n".join(lines)


@contextlib.contextmanager
def noticed(what: str, say: Say) -> Iterator[None]:
    """Says "`what` ..." if the block still runs after a few seconds."""
    timer = threading.Timer(_QUIET_SECONDS, say, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def timed(what: str, say: Say) -> Iterator[None]:
    """Says "`what` (n s)" when the block has run, and that it does where that takes seconds."""
    start = time.perf_counter()
    with noticed(what, say):
        yield
    say(f"{what} ({time.perf_counter() - start:.1f} s)")
