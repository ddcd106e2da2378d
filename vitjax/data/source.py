"""From the name of a data set to its images, labels and class names."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path

from vitjax.data.cache import cached
from vitjax.data.dataset import Dataset, Split, carve, check, check_arrays, check_share
from vitjax.data.readers.image_files import ReadOptions, Wanted, convert
from vitjax.errors import UserError

# Besides those of TFDS: each is a module in readers/, whose `read` takes what is Wanted.
NAMES = ("digits", "folder", "csv", "npz")

_TEST_FRACTION = 0.2  # of train, for a set that has no test split
_TEST_SEED = 0  # never the user's seed, so that all runs are measured on the same images


def load(
    name: str,
    *,
    data_dir: str | None = None,
    image_root: str | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    fit: str = "resize",
    max_examples: int | None = None,
    label_column: str = "label",
    valid_fraction: float = 0.1,
    split_seed: int = 0,
    decode_up_to: int | None = None,
    cache_dir: str | None = None,
    on_status: Callable[[str], None] = print,
) -> Dataset:
    """Reads a data set: uint8 images [N, H, W, C] with splits train, valid and test.

    Args:
      name: "digits" (needs no file), "folder", "csv", "npz", or a name of TensorFlow Datasets such
        as "mnist", "cifar100", "emnist/letters" or, of our own making, "galaxy_zoo2".
      data_dir: Folder or file to read, ~ is the home; for TFDS its data_dir (None:
        ~/tensorflow_datasets).
      image_root: Where "csv" looks for images, and "galaxy_zoo2" before it is prepared (also a
        .zip); None means beside the CSV files.
      image_size: Side in pixels; None keeps the images' own, which must then be the same.
      channels: 1 (gray) or 3 (RGB); None keeps what the data has.
      fit: "resize" (bilinear, antialiased; a rectangle is squeezed), or "center_crop", which does
        not scale and pads with zeros.
      max_examples: How many images of each stored split to read, evenly spread; None: all.
      label_column: Column of the CSV, or feature of TFDS, that holds the label; "label" is also
        the one that a set of TFDS declares.
      valid_fraction: Share of train that becomes valid where the data has no such split.
      split_seed: Seed of that choice.
      decode_up_to: Bytes up to which the images are decoded into memory; those of a larger set stay
        as they are stored, and are decoded each time that they are asked for. None: of any set.
      cache_dir: Where the images are decoded once, into files that are mapped into memory; None:
        nowhere. "digits" and "npz" are in memory all the same.
      on_status: Gets one line for each thing that takes time or was decided.

    Returns:
      A Dataset that passed `check`. It has a test split unless train is too small to give one,
      and a valid split unless `valid_fraction` is 0.

    Raises:
      UserError: In one line: what was given, expected, and what to change.
    """
    options = ReadOptions(image_size, channels, fit, max_examples, 0 if cache_dir else decode_up_to)
    check_share(valid_fraction, split_seed)
    wanted = Wanted(name, data_dir, image_root, label_column, options, on_status, valid_fraction)
    dataset = _read(wanted, options)
    if cache_dir:
        folder = Path(os.path.expanduser(cache_dir))
        dataset = cached(dataset, folder, options, on_status)
    return _complete(dataset, valid_fraction, split_seed, on_status)


def listed(
    name: str,
    *,
    data_dir: str | None = None,
    image_root: str | None = None,
    max_examples: int | None = None,
    label_column: str = "label",
    valid_fraction: float = 0.1,
    split_seed: int = 0,
    on_status: Callable[[str], None] = print,
) -> Dataset:
    """Lists what `load` reads, to look at each image: files are not opened and may be missing.

    Images that are no array give their `files`; their shape is not known, and so is a stand-in.
    Raises UserError as `load` does.
    """
    options = ReadOptions(1, 3, max_examples=max_examples, decode_up_to=0, must_exist=False)
    check_share(valid_fraction, split_seed)
    wanted = Wanted(name, data_dir, image_root, label_column, options, on_status, valid_fraction)
    # Arrays keep their shape.
    dataset = _read(wanted, ReadOptions(max_examples=max_examples))
    return _complete(dataset, valid_fraction, split_seed, on_status)


def _read(wanted: Wanted, options: ReadOptions) -> Dataset:
    """Reads the splits that are stored, made to what `options` say, and checks them."""
    # Unlike Path's, this one leaves a user that is unknown as it is, for the reader to miss.
    data_dir, root = (
        path and os.path.expanduser(path) for path in (wanted.data_dir, wanted.image_root)
    )
    wanted = wanted._replace(data_dir=data_dir, image_root=root)
    try:
        dataset = _call_reader(wanted)
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or wanted.data_dir} ({error.strerror or error}); mend or "
            "remove it, or change config.data.data_dir."
        ) from error
    check_arrays(dataset)
    dataset = convert(dataset, options)
    check(dataset)
    return dataset


def _call_reader(wanted: Wanted) -> Dataset:
    """Calls the reader of a set, which alone imports what it needs."""
    if wanted.name in NAMES:
        return importlib.import_module(f"vitjax.data.readers.{wanted.name}").read(wanted)
    from vitjax.data.readers import tfds

    return tfds.read(wanted, (*NAMES, "galaxy_zoo2"))


def _complete(
    dataset: Dataset, valid_fraction: float, split_seed: int, on_status: Callable[[str], None]
) -> Dataset:
    """Carves the splits that the data does not bring: first test, then valid."""
    splits = dict(dataset.splits)
    if "test" not in splits:
        splits = _carve_into(splits, "test", _TEST_FRACTION, _TEST_SEED)
        made = f"{len(splits['test']):,} images of train" if "test" in splits else "nothing"
        on_status(f"{dataset.name} has no test split: took {made} as test (always the same)")
    if "valid" not in splits:
        before = len(splits["train"])
        splits = _carve_into(splits, "valid", valid_fraction, split_seed)
        if "valid" in splits:
            on_status(
                f"{dataset.name} has no valid split: took {len(splits['valid']):,} of {before:,} "
                f"images of train (valid_fraction={valid_fraction}, split_seed={split_seed})"
            )
        elif valid_fraction:
            raise UserError(
                f"valid_fraction={valid_fraction} of {before:,} training images is less than one "
                "image of every class; raise config.data.valid_fraction or set it to 0."
            )
    order = [split for split in ("train", "valid", "test") if split in splits]
    return Dataset(dataset.name, dataset.class_names, {split: splits[split] for split in order})


def _carve_into(splits: dict[str, Split], new: str, fraction: float, seed: int) -> dict[str, Split]:
    """`splits` with `new` taken out of train, if that gives any image."""
    train, taken = carve(splits["train"], fraction, seed)
    return {**splits, "train": train} | ({new: taken} if taken is not None else {})
