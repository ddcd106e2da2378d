"""NVIDIA GPUs as XLA's compiler wants them described (a GpuTargetConfigProto in text form)."""

import dataclasses

from vitjax.targets.chips import Chip


@dataclasses.dataclass(frozen=True)
class _Processor:
    """What NVIDIA's data sheets say of a GPU, beside the figures of its chip."""

    name: str
    compute_capability: tuple[int, int]
    cores: int  # streaming multiprocessors
    units: int  # of float32, in each
    threads: int  # at most, in each
    shared_memory: int  # bytes, in each
    l2_cache: int  # bytes
    clock: float  # GHz


_PROCESSORS = {
    "t4": _Processor("Tesla T4", (7, 5), 40, 64, 1024, 65_536, 4 << 20, 1.59),
    "a100": _Processor("NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 2048, 167_936, 40 << 20, 1.41),
    "h100": _Processor("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 2048, 233_472, 50 << 20, 1.98),
    "h200": _Processor("NVIDIA H200", (9, 0), 132, 128, 2048, 233_472, 50 << 20, 1.98),
}
_RESERVED = 1024  # bytes of a core's shared memory that a block cannot have


def description(chip: Chip) -> str:
    """Returns the description of a chip, as `get_topology_desc(target_config=...)` takes it."""
    gpu = _PROCESSORS[chip.name]
    major, minor = gpu.compute_capability
    extension = "ACCELERATED_FEATURES" if major >= 9 else "NONE"
    reserved = _RESERVED if major >= 8 else 0
    device = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 49_152,
        "shared_memory_per_core": gpu.shared_memory,
        "shared_memory_per_block_optin": gpu.shared_memory - reserved,
        "threads_per_core_limit": gpu.threads,
        "core_count": gpu.cores,
        "fpus_per_core": gpu.units,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "thread_dim_limit_x": 1024,
        "thread_dim_limit_y": 1024,
        "thread_dim_limit_z": 64,
        "registers_per_core_limit": 65_536,
        "registers_per_block_limit": 65_536,
        "memory_bandwidth": int(chip.bandwidth),
        "l2_cache_size": gpu.l2_cache,
        "clock_rate_ghz": gpu.clock,
        "device_memory_size": chip.memory,
        "device_address_bits": 64,
        "name": f'"{gpu.name}"',
        # Of the CUDA that the extra [cuda] brings: what is compiled must know some.
        "driver_version": '"13.0.0"',
        "runtime_version": '"12.8.0"',
        "compile_time_toolkit_version": '"12.8.0"',
        "dnn_version": '"9.10.0"',
    }
    fields = " ".join(f"{name}: {value}" for name, value in device.items())
    capability = f"major: {major} minor: {minor} feature_extension: {extension}"
    return (
        f"gpu_device_info {{ {fields} cuda_compute_capability {{ {capability} }} }} "
        f'platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 }} '
        f'device_description_str: "{gpu.name}"'
    )
