"""What the machine has, wherever its system tells it."""

import os
from collections.abc import Mapping
from pathlib import Path

_TPU_VARIABLES = ("COLAB_TPU_ADDR", "TPU_NAME", "TPU_ACCELERATOR_TYPE")
_GOOGLE_PCI = "0x1ae0"
_TPU_PCI = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")  # as JAX has them


def num_cores() -> int:
    """Returns how many cores this process may use; all, where the system has no such limit."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(root: Path = Path("/")) -> int | None:
    """Returns the bytes that programs can still take; None where the system does not tell."""
    try:
        with open(root / "proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        of_machine = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None
    of_group = _left_in_control_group(root)
    return of_machine if of_group is None else min(of_machine, of_group)


def _left_in_control_group(root: Path) -> int | None:
    """Returns the bytes that a container's limit leaves; None without such a limit."""
    group = root / "sys/fs/cgroup"
    try:
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        limit, used = (int(_read(group / f"memory.{name}")) for name in ("max", "current"))
        return max(limit - used + int(statistics["inactive_file"]), 0)  # files can be dropped
    except (OSError, KeyError, ValueError):  # "max" is no limit
        return None


def unused_accelerator(
    platform: str, environ: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> str | None:
    """Returns what to say of an accelerator that is here while JAX computes on `platform`.

    None where it computes on one, was told not to (JAX_PLATFORMS, CUDA_VISIBLE_DEVICES), or there
    is none. Only looks at variables and below `root`: asking a broken driver can hang.
    """
    if platform != "cpu" or environ.get("JAX_PLATFORMS", "").strip().lower() == "cpu":
        return None
    if _has_nvidia_gpu(root) and environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1"):
        found, extra = "an NVIDIA GPU", "cuda"
    elif _has_tpu(root) or any(environ.get(name) for name in _TPU_VARIABLES):
        found, extra = "a TPU", "tpu"
    else:
        return None
    return f"{found} is here, but JAX computes on the CPU: pip install '.[{extra}]' in the checkout"


def _has_nvidia_gpu(root: Path) -> bool:
    if any(root.glob("dev/nvidia[0-9]*")):
        return True
    # Windows' Linux shows any maker's GPU as /dev/dxg, and brings this program for one of NVIDIA.
    return (root / "dev/dxg").exists() and (root / "usr/lib/wsl/lib/nvidia-smi").exists()


def _has_tpu(root: Path) -> bool:
    """Whether a chip can be opened: /dev/accel* up to v4; later ones /dev/vfio, as others may."""
    if any(root.glob("dev/accel[0-9]*")):
        return True
    return any(root.glob("dev/vfio/[0-9]*")) and any(
        _read(device / "vendor") == _GOOGLE_PCI and _read(device / "device") in _TPU_PCI
        for device in root.glob("sys/bus/pci/devices/*")
    )


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
