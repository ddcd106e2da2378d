"""Loads sets of TFDS, and writes archives of small ones, for their tests."""

import gzip
import io
import tarfile

import numpy as np

from vitjax import data

RNG = np.random.default_rng(0)


def load(name, data_dir, **options):
    options.setdefault("on_status", lambda line: None)
    options.setdefault("valid_fraction", 0)
    return data.load(name, data_dir=str(data_dir), **options)


def by_pixels(split):
    return {image.tobytes(): label for image, label in zip(split.images, split.labels, strict=True)}


def write_cifar100(path, train, test):
    """An archive in the original layout, from (images [N, 3, 32, 32], labels) of both splits."""
    path.parent.mkdir(parents=True)
    names = {"coarse": 20, "fine": 100}
    files = {
        f"{kind}_label_names.txt": "\n".join(f"{kind}{i}" for i in range(count)).encode()
        for kind, count in names.items()
    }
    for name, (images, labels) in (("train.bin", train), ("test.bin", test)):
        records = (bytes([0, label]) + x.tobytes() for x, label in zip(images, labels, strict=True))
        files[name] = b"".join(records)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-binary/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def fake_cifar100(path):
    splits = [(RNG.integers(0, 256, (n, 3, 32, 32), np.uint8), np.arange(n)) for n in (12, 5)]
    write_cifar100(path, *splits)
    return splits


def write_mnist(folder, seed):
    """The four files with 20 and 10 images, of which those of train are returned."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    expected = {}
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        with gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz", "wb") as file:
            file.write(bytes(16) + images.tobytes())
        with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(bytes(8) + labels.tobytes())
        expected[prefix] = {x.tobytes(): y for x, y in zip(images, labels, strict=True)}
    return expected["train"]
