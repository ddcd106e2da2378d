"""Where the images of a run lie: on the devices, in memory, or where they are stored."""

from jax.sharding import Mesh

from vitjax.data.dataset import Dataset
from vitjax.data.images import StoredImages
from vitjax.data.on_device import num_bytes
from vitjax.machine.host import available_memory
from vitjax.machine.processes import all_of
from vitjax.training.ahead.memory import gib, limit_bytes

_COPIES = 3  # of a set in the host's memory while it is put on the devices
_DEVICE_SHARE = 0.5  # of a device's memory, for images; the rest is for training


def decode_up_to(stream: str) -> int | None:
    """Returns the bytes of the largest set to decode when it is read; None: of any.

    `stream` is config.data.stream: auto, always or never.
    """
    if stream == "always":
        return 0
    available = available_memory()
    return None if stream == "never" or available is None else available // _COPIES


def streams(stream: str, dataset: Dataset, mesh: Mesh) -> bool:
    """Whether batches are brought to the devices, as all images do not fit there, or may not."""
    available = available_memory()
    in_host = available is None or _COPIES * num_bytes(dataset) <= available
    wanted = not in_host or exceeds(stream, dataset, limit_bytes(mesh.local_devices[0]))
    wanted = (wanted and stream == "auto") or stream == "always"
    return bool(max(all_of(int(wanted))))  # processes may differ in what memory is left


def exceeds(stream: str, dataset: Dataset, device_limit: int | None) -> bool:
    """Whether batches are streamed to devices that have `device_limit` bytes of memory."""
    too_large = device_limit is not None and num_bytes(dataset) > _DEVICE_SHARE * device_limit
    return stream == "always" or (stream == "auto" and too_large)


def describe(dataset: Dataset, streamed: bool) -> str:
    """Returns where the images lie, in words."""
    size = f"{gib(num_bytes(dataset))} GiB"
    if not streamed:
        return f"{size} of pixels at rest on each device"
    stored = isinstance(dataset.splits["train"].images, StoredImages)
    return f"{size} of pixels streamed to the devices" + (", decoded as they are used" * stored)
