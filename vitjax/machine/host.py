"""What the machine has, wherever its system tells it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

# Limit, what is taken, and which number of memory.stat are files, of both kinds of control groups.
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
_TPU_VARIABLES = ("COLAB_TPU_ADDR", "TPU_NAME", "TPU_ACCELERATOR_TYPE")
_GOOGLE_PCI = "0x1ae0"
_TPU_PCI = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")  # as JAX has them


def num_cores() -> int:
    """Returns how many cores this process may use; all, where the system has no such limit."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(root: Path = Path("/")) -> int | None:
    """Returns the bytes that this process can still take; None where the system does not tell."""
    try:
        of_machine = _kibibytes(root / "proc/meminfo")["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return None
    return max(0, min([of_machine, *_left_in_control_groups(root), *_left_by_limits(root)]))


def _kibibytes(path: Path) -> dict[str, int]:
    """Returns the bytes by name of a file whose lines are NAME: NUMBER kB, and others."""
    with open(path) as file:
        lines = dict(line.split(":", 1) for line in file)
    return {name: 1024 * int(text.split()[0]) for name, text in lines.items() if "kB" in text}


def _left_in_control_groups(root: Path) -> Iterator[int]:
    """Yields the bytes that each limit of a container, or of a job, leaves."""
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines() or ["0::/"]:
        _, controllers, name = line.split(":", 2)
        if controllers in ("", "memory"):
            is_first = controllers == "memory"  # version 1 of control groups
            names = _VERSION_1 if is_first else _VERSION_2
            top = mounted / "memory" if is_first else mounted
            own = top / name.lstrip("/")
            for group in (own, *(parent for parent in own.parents if parent.is_relative_to(top))):
                with contextlib.suppress(OSError, KeyError, ValueError):  # none, or "max"
                    yield _left_in(group, *names)


def _left_in(group: Path, limit: str, used: str, of_files: str) -> int:
    statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    left = int((group / limit).read_text()) - int((group / used).read_text())
    return left + int(statistics[of_files])  # files can be dropped


def _left_by_limits(root: Path) -> Iterator[int]:
    """Yields the bytes that the limits of this process, as ulimit sets them, leave."""
    with contextlib.suppress(ImportError, OSError, KeyError, ValueError):  # Windows has none
        import resource

        taken = _kibibytes(root / "proc/self/status")
        for name, of in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
            limit, _ = resource.getrlimit(getattr(resource, name))
            if limit != resource.RLIM_INFINITY:
                yield limit - taken[of]


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
