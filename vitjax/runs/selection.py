"""Which epoch is the best, and when no better one is to be expected."""

from collections.abc import Iterable, Mapping
from typing import Any

Line = Mapping[str, Any]  # of metrics.jsonl


def score(line: Line, select_by: str) -> tuple[float, float]:
    """Orders epochs: by accuracy and then loss, or by loss alone; higher is better."""
    return (0.0 if select_by == "loss" else line["valid_accuracy"]), -line["valid_loss"]


def best(lines: Iterable[Line], select_by: str) -> Line:
    """Returns the line of the best epoch, the first of equals; {} without validation."""
    scored = (line for line in lines if "valid_loss" in line)
    return max(scored, key=lambda line: score(line, select_by), default={})


def out_of_patience(num_epochs: int, best: Line, patience: int) -> bool:
    """Whether the best epoch lies `patience` epochs before the last; never for 0."""
    return bool(patience and best) and num_epochs - best["epoch"] >= patience
