"""What the machine has, wherever its system tells it."""

import os


def num_cores() -> int:
    """Returns how many cores this process may use; all, where the system has no such limit."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int | None:
    """Returns the bytes that programs can still take; None where the system does not tell."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None


def unused_accelerator(platform: str) -> str | None:
    """Returns what to say of an accelerator that is here while JAX computes on `platform`."""
    del platform
    return None
