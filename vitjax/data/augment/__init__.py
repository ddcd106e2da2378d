"""Augmentation on the device: what each image of a batch becomes, by its own key."""

from vitjax.data.augment.augmentation import Augmentation
from vitjax.data.augment.transforms import normalise, resize

__all__ = ["Augmentation", "normalise", "resize"]
