"""What the machine has."""

import os
import sys

import pytest

from vitjax.machine.host import available_memory, num_cores, unused_accelerator

GPU = "an NVIDIA GPU is here, but JAX computes on the CPU: pip install '.[cuda]' in the checkout"
TPU = "a TPU is here, but JAX computes on the CPU: pip install '.[tpu]' in the checkout"


def make(root, *files, **contents):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    for name, content in contents.items():
        file = root / "sys/bus/pci/devices/0000:00:04.0" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")


@pytest.mark.parametrize(
    ("files", "warning"),
    [
        (["dev/nvidia0", "dev/nvidiactl"], GPU),
        (["dev/nvidia3"], GPU),  # a container may get another than the first
        (["dev/nvidiactl"], None),  # a driver without a card
        (["dev/dxg", "usr/lib/wsl/lib/nvidia-smi"], GPU),
        (["dev/dxg"], None),  # Windows' Linux on another maker's card
        (["dev/accel0"], TPU),
        (["dev/accel/accel0"], None),  # another maker's
        (["dev/vfio/0"], None),  # any device that is handed to a virtual machine
        (["dev/vfio/vfio"], None),
        ([], None),
    ],
)
def test_finds_an_unused_accelerator(files, warning, tmp_path):
    make(tmp_path, *files)
    assert unused_accelerator("cpu", {}, tmp_path) == warning
    assert unused_accelerator("gpu", {}, tmp_path) is None
    assert unused_accelerator("tpu", {}, tmp_path) is None


@pytest.mark.parametrize(
    ("device", "warning"),
    [("0x0063", TPU), ("0x0042", None)],
    ids=["v5e", "network card"],
)
def test_a_vfio_device_is_a_tpu_by_its_identity(device, warning, tmp_path):
    make(tmp_path, "dev/vfio/0", vendor="0x1ae0", device=device)
    assert unused_accelerator("cpu", {}, tmp_path) == warning


@pytest.mark.parametrize("name", ["COLAB_TPU_ADDR", "TPU_NAME", "TPU_ACCELERATOR_TYPE"])
def test_variables_tell_of_a_tpu(name, tmp_path):
    assert unused_accelerator("cpu", {name: "v5e-1"}, tmp_path) == TPU
    assert unused_accelerator("cpu", {name: ""}, tmp_path) is None


@pytest.mark.parametrize(
    "environ",
    [{"JAX_PLATFORMS": "cpu"}, {"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}],
)
def test_says_nothing_where_the_user_chose_the_cpu(environ, tmp_path):
    make(tmp_path, "dev/nvidia0")
    assert unused_accelerator("cpu", environ, tmp_path) is None


def test_num_cores_without_affinity(monkeypatch):  # macOS and Windows have none
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert num_cores() == os.cpu_count()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_available_memory():
    assert 2**20 < available_memory() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def write(root, texts):
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


MEMINFO = {"proc/meminfo": "MemTotal: 4096 kB\nMemAvailable: 1024 kB"}


@pytest.mark.parametrize(("limit", "left"), [("1000000", 500000), ("500000", 0), ("max", 2**20)])
@pytest.mark.parametrize(
    ("of_process", "group", "names"),
    [
        (None, "", ("max", "current", "inactive_file")),
        ("0::/", "", ("max", "current", "inactive_file")),
        ("0::/slurm/job_1/step_0", "slurm/job_1/", ("max", "current", "inactive_file")),
        ("0::/../outside", "", ("max", "current", "inactive_file")),
        (
            "5:cpu:/other\n4:memory:/docker/1\n0::/",
            "memory/docker/1/",
            ("limit_in_bytes", "usage_in_bytes", "total_inactive_file"),
        ),
    ],
)
def test_a_container_may_leave_less(of_process, group, names, limit, left, tmp_path):
    limit_name, used_name, of_files = names
    folder = f"sys/fs/cgroup/{group}memory."
    texts = {
        f"{folder}{limit_name}": limit,
        f"{folder}{used_name}": "600000",
        f"{folder}stat": f"anon 500000\n{of_files} 100000",
    }
    write(tmp_path, MEMINFO | texts | ({"proc/self/cgroup": of_process} if of_process else {}))
    assert available_memory(tmp_path) == left


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize(("kind", "left"), [("RLIMIT_AS", 200 * 1024), ("RLIMIT_DATA", 600 * 1024)])
def test_limits_of_the_process_may_leave_less(kind, left, tmp_path, monkeypatch):
    import resource

    def getrlimit(which):
        is_limited = which == getattr(resource, kind)
        return (700 * 1024 if is_limited else resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    write(tmp_path, MEMINFO | {"proc/self/status": "Name: x\nVmSize: 500 kB\nVmData: 100 kB"})
    assert available_memory(tmp_path) == left


def test_available_memory_where_the_system_does_not_tell(monkeypatch):
    def nothing(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", nothing)
    assert available_memory() is None
