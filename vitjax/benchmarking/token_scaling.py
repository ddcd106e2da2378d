"""Does linear attention pay? ViT against Linformer over the number of tokens."""

from collections.abc import Sequence
from typing import Any

from vitjax.benchmarking.cases import Case
from vitjax.benchmarking.measure import in_turn, summary
from vitjax.benchmarking.ours import Ours

SIDES = (8, 16, 24, 32, 48, 64)  # patches along an image's side: 65 to 4,097 tokens
_PATCH = 4
_OPTIONS = {
    "patch_size": _PATCH,
    "hidden_dim": 128,
    "num_layers": 2,
    "num_heads": 4,
    "mlp_dim": 256,
}
_MODELS: dict[str, dict[str, Any]] = {"vit": {}, "linformer": {"k_dim": 64}}


def attention_case(model_name: str, side: int, batch_size: int) -> Case:
    """Returns a two-layer model on images of `side` x `side` patches."""
    return Case(
        model_name,
        _OPTIONS | _MODELS[model_name],
        image_shape=(side * _PATCH, side * _PATCH, 3),
        num_classes=10,
        batch_size=batch_size,
        num_train=4 * batch_size,
        num_test=batch_size,
        peer="",
        optimizer_options={"learning_rate": 1e-4},
    )


def scaling(
    dtype: Any, *, sides: Sequence[int], batch_size: int, rounds: int
) -> list[dict[str, Any]]:
    """Returns step time and memory of both models at each number of tokens."""
    points = []
    for side in sides:
        trainers = {
            name: Ours.of_case(attention_case(name, side, batch_size), dtype) for name in _MODELS
        }
        for trainer in trainers.values():
            trainer.compile_once()
        seconds = in_turn({n: _one_step(t) for n, t in trainers.items()}, rounds)
        points.append(
            {
                "tokens": side**2 + 1,
                "batch_size": batch_size,
                **{
                    name: {
                        "step_seconds": summary(seconds[name]),
                        "peak_bytes": trainer.peak_bytes(),
                    }
                    for name, trainer in trainers.items()
                },
            }
        )
    return points


def _one_step(trainer: Ours):
    return lambda: trainer.steps(1)


def crossing(points: Sequence[dict[str, Any]]) -> int | None:
    """Returns the fewest tokens measured from which on Linformer's step is shorter, or None."""
    faster = None
    for point in points:
        times = {name: point[name]["step_seconds"]["median"] for name in _MODELS}
        if times["linformer"] >= times["vit"]:
            faster = None
        elif faster is None:
            faster = point["tokens"]
    return faster
