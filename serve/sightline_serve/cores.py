"""How many cores this process may use: what the scheduler allows, capped by the container's CPU quota."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
SMALL = 100_000_000  # parameters
TINY = 10_000_000


def threads_for(parameters: int) -> int:
    """Torch threads for a model of this size.

    A small model's steps are too short to share: threads spend them waiting for each other and, on a busy
    machine, for a core.
    """
    return 1 if parameters < SMALL else available()


def prefill_tokens(parameters: int, on_gpu: bool) -> int:
    """Tokens of prompts in one forward, if the operator says nothing.

    So many that the weights are read for enough of them, and so few that the running answers, which wait
    meanwhile, do not stand still for long: docs/measured.md has what a forward of 128 to 2048 takes on a CPU.
    """
    if on_gpu:
        return 2048
    return 512 if parameters < TINY else 256


def available(cgroup: Path = CGROUP) -> int:
    """Cores by affinity and by cgroup quota (v2 `cpu.max`, v1 `cpu.cfs_quota_us`), at least 1."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def _quota(cgroup: Path) -> float | None:
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        share = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return share if share > 0 else None
