"""What the machine is: processor, memory, distribution, what it runs in, its disks and its clock."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from .disks import read_disks
from .reading import Facts
from .reading import text_of as _text
from .surroundings import read_surroundings


def read_hardware(root: str = "/") -> Facts:
    """Facts about the machine whose files lie under `root` ("/" but in tests). Sizes are bytes."""
    # What runs and not what is installed: images for containers bring systemd's programs along.
    init = "systemd" if os.path.isdir(Path(root) / "run/systemd/system") else "supervised"
    return {
        "arch": platform.machine(),
        "kernel": platform.release(),
        "distribution": read_distribution(Path(root)),
        "init": init,
        "surroundings": read_surroundings(Path(root), init),
        "clock": {"epoch": int(time.time())},
        "cpu": {"count": cpu_count(Path(root))},
        "memory": read_memory(Path(root)),
        "disks": read_disks(Path(root)),
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
