"""Data: names become uint8 images in memory; order and augmentation happen on the device."""

from vitjax.data.dataset import Dataset, Split
from vitjax.data.source import NAMES, load

__all__ = ["NAMES", "Dataset", "Split", "load"]
