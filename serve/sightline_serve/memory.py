"""How much memory the key/value cache may take, and whether an error means that there was none left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sightline_serve.kv_cache import BLOCK, blocks
from sightline_serve.settings import MIB, Settings

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
KEPT_LEAST, KEPT_MOST = 8 * MIB, 256 * MIB  # of finished requests


@dataclass(frozen=True)
class KVBudget:
    """`tokens` is what all rows together may hold, padding included, in a model of so many `layers`."""

    tokens: int
    layers: int = 1

    def cost(self, rows: int, longest: int, beside: int = 0) -> int:
        """Rows are as long as the longest, in whole blocks; while they grow, one layer is there twice.

        `beside`: what the row with most beside its tokens holds, in tokens.
        """
        padded = rows * (blocks(longest) + beside)
        return padded + -(-padded // self.layers)

    def fits(self, lengths: list[int], beside: int = 0) -> bool:
        """Whether requests that hold so many tokens can run at once."""
        return self.cost(len(lengths), max(lengths, default=0), beside) <= self.tokens

    def longest(self, beside: int = 0) -> int:
        """The longest request that fits when it runs alone; whole blocks."""
        return max(0, (self.tokens * self.layers // (self.layers + 1) - beside) // BLOCK * BLOCK)


def kv_bytes(settings: Settings) -> int:
    """What the operator gave the key/value cache, else what is left for it: weights are loaded by now."""
    if settings.kv_cache_bytes is not None:
        return settings.kv_cache_bytes
    return cuda_bytes(settings.gpu_memory_utilization) if on_gpu(settings) else cpu_bytes()


def on_gpu(settings: Settings) -> bool:
    return settings.device != "cpu" and torch.cuda.is_available()


def shares(settings: Settings, weights: int) -> tuple[int, int]:
    """Bytes for running and for finished requests; what the operator gave is for the running ones.

    `weights`: the model's bytes. What is kept weighs no more, as a small model soon reads it again.
    """
    both, kept = kv_bytes(settings), settings.prefix_cache_bytes
    if kept is None:
        kept = min(KEPT_MOST, max(KEPT_LEAST, weights))
    if settings.kv_cache_bytes is not None:
        return both, kept
    kept = min(kept, both // 8)
    return both - kept, kept


def cpu_bytes(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Half of the memory that this process can still have: the machine's, or its container's (cgroup v2)."""
    free = next(
        int(line.split()[1]) * 1024
        for line in meminfo.read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    try:
        limit, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
        free = min(free, int(limit) - int(used))
    except (OSError, ValueError):  # no such cgroup, or "max"
        pass
    return max(0, free // 2)


def cuda_bytes(utilization: float) -> int:
    """What `utilization` (0 to 1) of the GPU's memory leaves beside the weights, which are loaded by now."""
    free, total = torch.cuda.mem_get_info()
    return max(0, int(free - (1 - utilization) * total))


def exhausted(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, for which torch on a CPU has words but no class."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
