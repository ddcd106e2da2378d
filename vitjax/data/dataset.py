"""What every reader returns, the checks it must pass, and the validation split."""

import dataclasses
import functools
import hashlib
import math

import numpy as np

from vitjax.data.images import Images, take
from vitjax.errors import UserError

SPLITS = ("train", "valid", "test")
_LOOKED_AT_BYTES = 2**24  # of a split, that tell it from others; stored images have to be read


@dataclasses.dataclass(frozen=True)
class Split:
    """Images of one split, with their labels and a name for each."""

    images: Images  # uint8 [N, H, W, C], C is 1 or 3; an array, or read when asked for
    labels: np.ndarray  # int32 [N], from 0 to the number of classes - 1
    ids: np.ndarray  # str [N]: the file in its folder, as its list has it, or "split/index"

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Split":
        """The examples at `index` (int or bool [N]), copied where they are in memory."""
        return Split(take(self.images, index), self.labels[index], self.ids[index])

    def digest(self) -> str:
        """Returns what tells the labels, and the examples that have them, from any others."""
        names = "\0".join(self.ids).encode(errors="surrogatepass")
        return hashlib.sha256(self.labels.astype("<i4").tobytes() + names).hexdigest()[:16]

    @functools.cached_property
    def digest_of_pixels(self) -> str:
        """What tells a hundred images, spread over the split, or ten large ones, from others."""
        count = min(max(_LOOKED_AT_BYTES // math.prod(self.images.shape[1:]), 10), 100)
        pixels = hashlib.sha256()
        for i in np.unique(np.linspace(0, len(self) - 1, count).astype(int)):
            pixels.update(self.images[i].tobytes())
        return pixels.hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A classification set."""

    name: str
    class_names: tuple[str, ...]
    splits: dict[str, Split]  # keys are among "train", "valid", "test"

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.splits["train"].images.shape[1:]
        return height, width, channels


def check_arrays(dataset: Dataset) -> None:
    """Raises a UserError unless images can be resized and labels counted, whatever they hold."""
    for split_name, split in dataset.splits.items():
        _check_arrays(f"{dataset.name}/{split_name}", split)


def check(dataset: Dataset) -> None:
    """Raises a UserError that says what is wrong with `dataset`, if anything is."""
    check_arrays(dataset)
    name = dataset.name
    unknown = sorted(set(dataset.splits) - set(SPLITS))
    if "train" not in dataset.splits or unknown:
        raise UserError(
            f"{name} has the splits {sorted(dataset.splits)}, expected 'train' and optionally "
            "'valid' and 'test'; change config.data.data_dir."
        )
    if dataset.num_classes < 2:
        raise UserError(
            f"{name} has {dataset.num_classes} class {list(dataset.class_names)}, expected 2 or "
            "more; change config.data.data_dir or config.data.label_column."
        )
    if len(set(dataset.class_names)) != dataset.num_classes:
        raise UserError(
            f"{name} has repeated class names {list(dataset.class_names)}, expected each once; "
            "change config.data.data_dir."
        )
    shape = dataset.splits["train"].images.shape[1:]
    for split_name, split in dataset.splits.items():
        _check_channels(f"{name}/{split_name}", split)
        if split.images.shape[1:] != shape:
            raise UserError(
                f"{name}/{split_name} has images of shape {split.images.shape[1:]}, expected "
                f"{shape} as in train; set config.data.image_size and config.data.channels."
            )
        _check_labels(f"{name}/{split_name}", split, dataset.num_classes)


def _check_arrays(where: str, split: Split) -> None:
    images, labels, ids = split.images, split.labels, split.ids
    if images.dtype != np.uint8 or len(images.shape) != 4:
        raise UserError(
            f"{where} has images of {images.dtype} {list(images.shape)}, expected uint8 "
            "[N, H, W, C]; convert the files of config.data.data_dir."
        )
    if labels.dtype != np.int32 or labels.ndim != 1:
        raise UserError(
            f"{where} has labels of {labels.dtype} {list(labels.shape)}, expected int32 [N]; "
            "convert the files of config.data.data_dir."
        )
    if not len(images) == len(labels) == len(ids):
        raise UserError(
            f"{where} has {len(images)} images, {len(labels)} labels and {len(ids)} ids, expected "
            "as many of each; repair the files of config.data.data_dir."
        )
    if not len(images):
        raise UserError(f"{where} is empty; change config.data.data_dir.")
    if 0 in images.shape:
        raise UserError(
            f"{where} has images of shape {list(images.shape[1:])}, without a pixel; write the "
            "files of config.data.data_dir again."
        )


def _check_channels(where: str, split: Split) -> None:
    shape = split.images.shape
    if shape[-1] not in (1, 3):
        raise UserError(
            f"{where} has images of shape {list(shape[1:])}, expected [H, W, C] with 1 or 3 "
            "channels; set config.data.channels to 1 or 3, or reorder the axes of the arrays."
        )


def _check_labels(where: str, split: Split, num_classes: int) -> None:
    bad = np.flatnonzero((split.labels < 0) | (split.labels >= num_classes))
    if len(bad):
        first = ", ".join(f"{split.ids[i]} has {split.labels[i]}" for i in bad[:5])
        raise UserError(
            f"{where} has {len(bad):,} labels outside 0..{num_classes - 1}: {first}; "
            "change config.data.label_column or the labels in config.data.data_dir."
        )


def carve(train: Split, fraction: float, seed: int) -> tuple[Split, Split | None]:
    """Takes about `fraction` of each class out of `train`: (what remains, what was taken).

    Depends on (seed, fraction) alone. No class of the remainder is emptied. The second is None
    when no class has enough images to give one, as with fraction 0.
    """
    check_share(fraction, seed)
    # RandomState, since numpy promises its numbers for ever; those of default_rng may change.
    order = np.random.RandomState(seed).permutation(len(train))
    taken = np.zeros(len(train), bool)
    for label in np.unique(train.labels):
        members = order[train.labels[order] == label]
        count = min(int(len(members) * fraction + 0.5), len(members) - 1)
        taken[members[:count]] = True
    if not taken.any():
        return train, None
    return train.take(~taken), train.take(taken)


def check_share(fraction: float, seed: int) -> None:
    """Raises UserError unless `carve` can take this `fraction` of train with this `seed`."""
    if not 0 <= fraction < 1:
        raise UserError(
            f"valid_fraction={fraction} given, expected 0 <= valid_fraction < 1; "
            "change config.data.valid_fraction."
        )
    if not 0 <= seed < 2**32:
        raise UserError(
            f"split_seed={seed} given, expected 0 to 2**32 - 1; change config.data.split_seed."
        )
