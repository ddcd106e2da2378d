"""Writes policies.npz beside it: torchvision's augmentation policies, their strengths and results.

The tests read the file; only a new reference needs this script. It wants an environment of its own:

    pip install torch==2.15.0 torchvision==0.29.2 numpy pillow
    python tests/goldens/make_policy_goldens.py
"""

from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, TrivialAugmentWide

SIZE = 24, 33  # height, width that strengths are for


class EachPair(AutoAugment):
    """Does both operations of one pair of the policy, in their positive direction."""

    def __init__(self, pair: int):
        super().__init__(AutoAugmentPolicy.CIFAR10)
        self.pair = pair

    def get_params(self, transform_num: int) -> tuple[int, torch.Tensor, torch.Tensor]:
        """Returns which pair, draws below any probability but 0, and positive signs."""
        del transform_num
        return self.pair, torch.full((2,), 1e-6), torch.ones(2)


def strengths(space: dict, bins: int) -> dict[str, np.ndarray]:
    """Returns {operation: strengths [bins]} of a torchvision transform."""
    return {name: np.broadcast_to(values.numpy(), bins) for name, (values, _) in space.items()}


def main() -> None:
    """Writes the file."""
    auto, trivial = AutoAugment(AutoAugmentPolicy.CIFAR10), TrivialAugmentWide()
    spaces = {
        "autoaugment": strengths(auto._augmentation_space(10, SIZE), 10),
        "trivial": strengths(trivial._augmentation_space(31), 31),
    }
    arrays = {f"{of}: {name}": x for of, space in spaces.items() for name, x in space.items()}
    y, x = np.mgrid[:12, :12]
    image = np.stack([20 * y, 250 - 9 * x, 5 * (x + y) + (x * y) % 7], axis=-1).astype(np.uint8)
    results = [EachPair(pair)(Image.fromarray(image)) for pair in range(len(auto.policies))]
    np.savez_compressed(
        Path(__file__).with_name("policies.npz"),
        **arrays,
        names=np.array([[op for op, _, _ in pair] for pair in auto.policies]),
        probabilities=np.array([[p for _, p, _ in pair] for pair in auto.policies]),
        places=np.array([[place or 0 for _, _, place in pair] for pair in auto.policies]),
        image=image,
        results=np.stack([np.asarray(result) for result in results]),
        versions=np.array(f"torch {torch.__version__}, torchvision {torchvision.__version__}"),
    )


if __name__ == "__main__":
    main()
