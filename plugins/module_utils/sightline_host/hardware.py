"""What the machine is: processor, memory, distribution, GPUs and where their driver comes from."""

from __future__ import annotations

import glob
import os
import platform
import subprocess
from pathlib import Path

Facts = dict[str, object]


def read_hardware(root: str = "/") -> Facts:
    """Facts about the machine whose files lie under `root` ("/" but in tests). Sizes are bytes."""
    gpus = read_gpus()
    return {
        "arch": platform.machine(),
        "kernel": platform.release(),
        "distribution": read_distribution(Path(root)),
        "init": "systemd" if (Path(root) / "run/systemd/system").is_dir() else "supervised",
        "cpu": {"count": cpu_count(Path(root))},
        "memory": read_memory(Path(root)),
        "gpus": gpus,
        "driver": read_driver(Path(root), gpus),
    }


def read_distribution(root: Path) -> Facts:
    found: dict[str, str] = {}
    for line in _text(root / "etc/os-release").splitlines():
        key, _, value = line.partition("=")
        found[key] = value.strip().strip('"')
    return {"id": found.get("ID"), "version": found.get("VERSION_ID"), "name": found.get("PRETTY_NAME")}


def cpu_count(root: Path) -> int:
    """Processors this process may use: its affinity, then the control group's quota.

    Source: the kernel's `cpu.max` (cgroup v2) and `cpu.cfs_quota_us` (v1), microseconds of a period.
    """
    count = len(os.sched_getaffinity(0))
    quota, period, *_ = [*_text(root / "sys/fs/cgroup/cpu.max").split(), "", ""]
    if not quota:
        quota = _text(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
        period = _text(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    if quota.isdigit() and period.isdigit() and int(period):
        count = min(count, max(1, int(quota) // int(period)))
    return count


def read_memory(root: Path) -> Facts:
    """Total and available bytes; the control group's limit counts: a container shows its host's memory."""
    sizes = {}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            sizes[name] = int(rest.split()[0]) * 1024
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    for limit_file, used_file in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        limit, used = _text(root / limit_file).strip(), _text(root / used_file).strip()
        if limit.isdigit() and total and int(limit) < total:
            total = int(limit)
            if used.isdigit() and available:
                available = min(available, max(0, total - int(used)))
    return {"total_bytes": total, "available_bytes": available}


def read_gpus() -> list[Facts]:
    """NVIDIA GPUs as the driver lists them; [] without a working driver."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,uuid,driver_version",
        "--format=csv,noheader,nounits",
    ]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    gpus: list[Facts] = []
    for line in answer.stdout.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 4:
            memory = int(fields[1]) * 2**20 if fields[1].isdigit() else None
            gpus.append({"name": fields[0], "memory_bytes": memory, "uuid": fields[2], "driver": fields[3]})
    return gpus


def read_driver(root: Path, gpus: list[Facts]) -> Facts:
    """Whose driver it is: `absent`, `installed` (packages or kernel modules of this system) or `injected`.

    A container's host injects driver libraries as read-only mounts; those must never be touched.
    """
    version = str(gpus[0]["driver"]) if gpus else None
    mounts = _text(root / "proc/self/mounts")
    injected = any("libnvidia" in line or "/nvidia-smi" in line for line in mounts.splitlines())
    if injected:
        return {"state": "injected", "version": version}
    module = _text(root / "proc/driver/nvidia/version") or _text(root / "sys/module/nvidia/version")
    libraries = glob.glob(str(root / "usr/lib/*/libnvidia-ml.so.1"))
    state = "installed" if version or module or libraries else "absent"
    return {"state": state, "version": version}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
