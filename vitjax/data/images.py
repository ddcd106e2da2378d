"""Images of a split that need not be an array: encoded ones, a file's, or a choice of others'."""

import collections
import io
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np

from vitjax.machine.host import available_memory, num_cores

_SHARE_AHEAD = 8  # of the memory left, one part in so many is for slices read ahead


class Images(Protocol):
    """uint8 images [N, H, W, C], of which an array is one kind."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, H, W, C."""

    @property
    def dtype(self) -> np.dtype:
        """uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice | np.ndarray | int) -> np.ndarray:
        """Returns the images at `index`, int [B], as an array [B, H, W, C]; of a number, one."""


class StoredImages:
    """Images that are not in memory; a subclass reads some when asked for."""

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]):
        """`shape` is [N, H, W, C]."""
        self.shape = shape

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray | int) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        found = self.read(np.atleast_1d(index))
        return found if np.ndim(index) else found[0]

    def read(self, index: np.ndarray) -> np.ndarray:
        """Returns the images at `index`, int [B]; raises UserError for those that are damaged."""
        raise NotImplementedError

    def files(self, index: np.ndarray) -> Sequence[str | io.BytesIO]:
        """Returns the image files at `index`, int [B], as PIL opens them."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Returns what changes when the stored images do."""
        raise NotImplementedError


class ChosenImages(StoredImages):
    """Some of other images, in another order."""

    def __init__(self, images: Images, index: np.ndarray):
        super().__init__((len(index), *images.shape[1:]))
        self._images, self._index = images, index

    def read(self, index: np.ndarray) -> np.ndarray:
        """The images at `index` of the chosen."""
        return self._images[self._index[index]]

    def files(self, index: np.ndarray) -> Sequence[str | io.BytesIO]:
        """The files at `index` of the chosen, where the others are stored as such."""
        assert isinstance(self._images, StoredImages)
        return self._images.files(self._index[index])


def take(images: Images, index: np.ndarray) -> Images:
    """Returns the images at `index`, int or bool: of an array in memory a copy, else as stored."""
    if isinstance(images, StoredImages | np.memmap):
        return ChosenImages(images, np.flatnonzero(index) if index.dtype == bool else index)
    return images[index]


def in_slices(images: Images, size: int) -> Iterator[np.ndarray]:
    """Yields images[0:size], images[size:2*size], ..., read by one thread a core, few ahead.

    As many as an eighth of the memory left holds, and one at least.
    """
    if not isinstance(images, StoredImages):
        yield from (images[i : i + size] for i in range(0, len(images), size))
        return
    starts, ahead = iter(range(0, len(images), size)), 2 * num_cores()
    if (memory := available_memory()) is not None:
        of_slice = math.prod(images.shape[1:]) * size
        ahead = max(1, min(ahead, memory // _SHARE_AHEAD // of_slice))
    with ThreadPoolExecutor(num_cores()) as pool:
        waiting: collections.deque[Future[np.ndarray]] = collections.deque()
        try:
            for start in starts:
                waiting.append(pool.submit(images.__getitem__, slice(start, start + size)))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
