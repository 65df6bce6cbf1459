"""What the box may use of the machine beneath: a container shows that machine's memory and processors."""

from __future__ import annotations

from collections.abc import Mapping

UNLIMITED = 2**60
"""From here on a v1 limit means none: the kernel writes the largest number of pages that it can count."""


def memory_limit(files: Mapping[str, str]) -> int | None:
    """The least of the control groups' limits in bytes, None where none is set.

    Source: the kernel's cgroup-v2 `memory.max` ("max" is none) and v1 `memory.limit_in_bytes`.
    """
    found = [
        int(text)
        for path, text in files.items()
        if path.endswith(("/memory.max", "/memory.limit_in_bytes")) and text.strip().isdigit()
    ]
    return min((limit for limit in found if limit < UNLIMITED), default=None)


def processor_limit(files: Mapping[str, str]) -> float | None:
    """The least of the control groups' quotas in processors, None where none is set.

    Source: the kernel's `cpu.max` (v2: quota and period, microseconds) and `cpu.cfs_quota_us` (v1).
    """
    found = []
    for path, text in files.items():
        if path.endswith("/cpu.max"):
            quota, period, *_ = [*text.split(), "", ""]
        elif path.endswith("/cpu.cfs_quota_us"):
            quota, period = (
                text.strip(),
                files.get(path.replace("cpu.cfs_quota_us", "cpu.cfs_period_us"), "").strip(),
            )
        else:
            continue
        if quota.isdigit() and period.isdigit() and int(period):
            found.append(int(quota) / int(period))
    return min(found, default=None)
