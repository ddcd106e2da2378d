"""Orders to the process that runs PyTorch."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

from vitjax.benchmarking.cases import Case
from vitjax.errors import UserError


class PeerError(UserError):
    """The peer cannot do what it was asked to."""


class Worker:
    """A `Peer` in a process of its own, which ends with the `with` block."""

    def __init__(self, case: Case, *, compiled: bool, num_threads: int, num_workers: int):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vitjax.benchmarking.peers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.network: dict[str, Any] = self.ask(  # num_params, torch, device
            "build",
            case=dataclasses.asdict(case),
            compiled=compiled,
            num_threads=num_threads,
            num_workers=num_workers,
        )

    def ask(self, do: str, *arguments: Any, **order: Any) -> Any:
        """Returns the answer to an order; raises PeerError with the peer's own words."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            order |= {"do": do, "arguments": arguments}
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
        except (BrokenPipeError, ValueError) as error:
            raise PeerError(
                "the process that runs PyTorch ended; try python -m vitjax.benchmarking.peers, and "
                "pip install '.[bench]' in the checkout"
            ) from error
        if isinstance(answer, dict) and "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def steps(self, count: int) -> float:
        """Trains `count` steps; returns the seconds."""
        return self.ask("steps", count)

    def epoch(self) -> float:
        """Trains and evaluates an epoch; returns the seconds."""
        return self.ask("epoch")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._process.kill()
        self._process.communicate()
