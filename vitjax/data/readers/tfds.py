"""Data sets of TensorFlow Datasets, read without TensorFlow.

Only this file, tfds_preparation.py and our own set's, galaxy_zoo2/builder.py, import
tensorflow_datasets (TFDS).
"""

import difflib
import functools
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vitjax.data.dataset import Dataset, Split
from vitjax.data.readers.image_files import ReadOptions, Wanted, check_memory, thin
from vitjax.data.readers.records import RecordImages, Source
from vitjax.data.readers.tfds_preparation import needs_tensorflow, prepare
from vitjax.data.readers.tfrecord import TfRecords
from vitjax.errors import UserError
from vitjax.text import one_line

# What sets call our splits; the first that is there is taken.
_SPLITS = {"train": ("train",), "valid": ("validation", "valid", "val", "dev"), "test": ("test",)}
_CHANGE_NAME = "change config.data.name."


class _Keys(NamedTuple):
    """Names among the features of a set."""

    image: str
    label: str
    id: str | None  # None: the examples have none, and are called by their place


def read(wanted: Wanted, other_names: Sequence[str] = ()) -> Dataset:
    """Reads a set of TFDS by its name, and downloads and prepares it first if need be.

    A set that is prepared in `data_dir` is read as it is (array_record, parquet or TFRecord).
    Raises a UserError in one line, without a network within seconds. `other_names` are proposed
    beside those of TFDS when the name is unknown. `label_column` is a feature; "label" is the usual
    one of the set. `image_root` is where the images of our own set lie before it is prepared.
    """
    name, data_dir, image_root, label_column, options, on_status, _ = wanted
    builder = _builder(name, data_dir, other_names, image_root, on_status)
    keys = _keys(name, builder.info, label_column)
    if not builder.is_prepared():
        prepare(name, builder, on_status)
        builder = _builder(name, data_dir, other_names, image_root, on_status)
    info = builder.info
    if note := (info.metadata or {}).get("note"):
        on_status(f"{name}: {note}")
    present = present_splits(info.splits)
    if "train" not in present:
        raise UserError(
            f"{name} in {builder.data_dir} has the splits {sorted(info.splits)}, expected 'train'; "
            "change config.data.name or config.data.data_dir."
        )
    shape = _shape(name, info.features[keys.image], options)
    stored = {ours: info.splits[theirs].num_examples for ours, theirs in present.items()}
    chosen = {ours: thin(count, options) for ours, count in stored.items()}
    num_images = sum(map(len, chosen.values()))
    decodes = options.decodes(num_images, shape)
    if decodes:
        check_memory(name, num_images, *shape)
    splits = {}
    for ours, theirs in present.items():
        num_images = len(chosen[ours])
        on_status(f"reading {name}/{ours}: {num_images:,} {'images' if decodes else 'labels'}")
        encoded = RecordImages(
            _records(builder, theirs, stored[ours]),
            chosen[ours],
            shape,
            parse=functools.partial(_parse, keys),
            options=options,
            where=f"split {theirs} in {builder.data_dir}",
            paths=list(map(str, info.splits[theirs].filepaths)),
        )
        images, labels, ids = encoded.decoded() if decodes else (encoded, *encoded.labels_and_ids())
        if not keys.id:
            ids = [f"{ours}/{i}" for i in chosen[ours]]
        splits[ours] = Split(images, labels, np.array(ids, str))
    return Dataset(name, _class_names(builder, keys.label), splits)


def present_splits(stored: Collection[str]) -> dict[str, str]:
    """Our splits among those that a set has, and what it calls each."""
    names = {ours: [n for n in theirs if n in stored] for ours, theirs in _SPLITS.items()}
    return {ours: theirs[0] for ours, theirs in names.items() if theirs}


def _builder(
    name: str,
    data_dir: str | None,
    other_names: Sequence[str],
    image_root: str | None,
    on_status: Callable[[str], None],
) -> Any:
    """TFDS's object for `name`; a UserError with the nearest names if there is none."""
    import tensorflow_datasets as tfds

    if data_dir and "[" in data_dir:
        raise UserError(
            f"config.data.data_dir={data_dir} has brackets, which TFDS takes for a pattern; "
            "rename it."
        )

    try:
        if name == "galaxy_zoo2":
            from vitjax.data.readers.galaxy_zoo2.builder import GalaxyZoo2

            return GalaxyZoo2(data_dir=data_dir, image_root=image_root, on_status=on_status)
        # A namespace ("huggingface:...") would start a download of an index: not supported.
        if re.fullmatch(r"\w+(/[\w.\-]+)?(:[\d.*]+)?", name):
            return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        pass
    except ImportError as error:
        raise needs_tensorflow(name) from error
    except OSError:
        raise
    except Exception as error:  # unknown config or version, damaged files: of many types
        raise UserError(
            f"TFDS rejects {name!r} ({one_line(error)}); change config.data.name, or remove its "
            "folder in config.data.data_dir to prepare the set again."
        ) from error
    # Community sets are left out: TFDS fetches their index from the network.
    if data_dir and (folder := Path(data_dir, name)).is_dir():
        raise UserError(
            f"{folder} holds no set that is prepared whole (its newest version has no "
            f"features.json); remove that version, or {_CHANGE_NAME}"
        )
    known = [*other_names, *tfds.list_builders(with_community_datasets=False)]
    near = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.6)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"expected {', '.join(other_names)} or a name of TFDS;"
    raise UserError(f"unknown data set {name!r}; {hint} {_CHANGE_NAME}")


def _keys(name: str, info: Any, label_column: str) -> _Keys:
    """Names of the image, of the label that `label_column` asks for, and of our own set's id."""
    import tensorflow_datasets as tfds

    features = dict(info.features.items())
    wanted = [("image", "label")]
    if isinstance(info.supervised_keys, tuple) and len(info.supervised_keys) == 2:
        wanted.insert(0, info.supervised_keys)
    for image_key, label_key in wanted:
        if not (isinstance(image_key, str) and isinstance(label_key, str)):
            continue  # nested, as in sets of pairs
        image, label = features.get(image_key), features.get(label_key)
        if (
            isinstance(image, tfds.features.Image)
            and isinstance(label, tfds.features.ClassLabel)
            and image.np_dtype == np.uint8
        ):
            kinds = [key for key, of in features.items() if isinstance(of, type(label))]
            if label_column not in ("label", *kinds):
                raise UserError(
                    f"label_column={label_column!r} given, expected one of {kinds}; "
                    "change config.data.label_column."
                )
            chosen = label_key if label_column == "label" else label_column
            has_id = isinstance(features.get("galaxyID"), tfds.features.Text)
            return _Keys(image_key, chosen, "galaxyID" if has_id else None)
    found = ", ".join(f"{key}: {type(feature).__name__}" for key, feature in features.items())
    raise UserError(
        f"{name} has the features {found}, expected an 8-bit Image and a ClassLabel; {_CHANGE_NAME}"
    )


def _class_names(builder: Any, label: str) -> tuple[str, ...]:
    """The names of the classes: numbers where the set has none, as TFDS does where it lost them."""
    feature = builder.info.features[label]
    file = Path(feature.get_names_filepath(builder.data_dir, label))
    if file.exists():
        stored = file.read_bytes().decode(errors="replace").split("\n")
        if [name.strip() for name in stored if name.strip()] != feature.names:
            raise UserError(
                f"{file} is damaged, so that TFDS does not read the names of classes; remove its "
                "folder to prepare the set again, or change config.data.data_dir."
            )
    return tuple(feature.names)


def _shape(name: str, feature: Any, options: ReadOptions) -> tuple[int, int, int]:
    """Height, width and channels that all images of the set get."""
    height, width, channels = feature.shape
    height, width, channels = (
        options.size or height,
        options.size or width,
        options.channels or channels,
    )
    if height is None or width is None:
        raise UserError(f"images of {name} differ in size; set config.data.image_size.")
    if channels not in (1, 3):
        raise UserError(
            f"images of {name} have {channels} channels, expected 1 or 3; "
            "set config.data.channels to 1 or 3."
        )
    return height, width, channels


def _records(builder: Any, split: str, count: int) -> Source:
    """Serialised examples of a prepared split, in TFDS's order, of which there must be `count`."""
    import tensorflow_datasets as tfds

    file_format = builder.info.file_format.value
    if file_format not in ("array_record", "parquet", "tfrecord"):
        raise UserError(
            f"{builder.data_dir} is prepared as {file_format}, expected array_record, parquet or "
            "tfrecord; change config.data.data_dir."
        )
    try:
        if file_format == "tfrecord":  # TFDS reads these with TensorFlow only
            source: Source = TfRecords(list(map(str, builder.info.splits[split].filepaths)))
        else:
            raw = tfds.decode.DeserializeMethod.RAW_BYTES
            source = builder.as_data_source(split, deserialize_method=raw)
        found = len(source)
    except (OSError, RuntimeError, ImportError, ValueError) as error:  # the last is pyarrow's
        raise UserError(
            f"cannot read split {split} in {builder.data_dir} ({one_line(error)}); remove that "
            "folder to prepare the set again, or change config.data.data_dir."
        ) from error
    if found != count:
        raise UserError(
            f"split {split} in {builder.data_dir} holds {found:,} examples, expected {count:,}; "
            "remove that folder to prepare the set again, or change config.data.data_dir."
        )
    return source


def _parse(keys: _Keys, record: bytes) -> tuple[bytes, int, str]:
    """Returns the image file, the label and the id, or "", of a serialised example.

    Does by hand what `features.deserialize_example_np` does, in a tenth of its time.
    """
    from tensorflow_datasets.proto import tf_example_pb2

    feature = tf_example_pb2.Example.FromString(record).features.feature
    file, label = (feature[keys.image].bytes_list.value[0], feature[keys.label].int64_list.value[0])
    return file, label, feature[keys.id].bytes_list.value[0].decode() if keys.id else ""
