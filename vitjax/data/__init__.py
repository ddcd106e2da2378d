"""Data: names become uint8 images in memory; order and augmentation happen on the device."""

from vitjax.data.dataset import Dataset, Split
from vitjax.data.source import load

__all__ = ["Dataset", "Split", "load"]
