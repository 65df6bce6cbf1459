"""Whether a process grew while it worked: its memory, threads and open files through a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MIB = 2**20
# What the highest of the last quarter may be above the highest of the second: caches are full by then, and an
# allocator's leftovers are not counted as growth.
SHARE, SPARE_MIB = 0.05, 32


class Memory:
    """Call `note` with how far the run has come, from 0 to 1."""

    def __init__(self, pid: int) -> None:
        self.folder = Path("/proc") / str(pid)
        self.quarters: list[list[float]] = [[], [], [], []]
        self.before = self._now()

    def note(self, share: float) -> None:
        self.quarters[min(3, int(share * 4))].append(self._now()["rss_mib"])

    def verdict(self) -> dict[str, Any]:
        """`flat`: the highest of the last quarter is at most 5 % and 32 MiB above that of the second."""
        highest = [round(max(quarter, default=0.0), 1) for quarter in self.quarters]
        return {
            "flat": flat(highest),
            "rss_mib_highest_by_quarter": highest,
            "before": self.before,
            "after": self._now(),
        }

    def _now(self) -> dict[str, float]:
        pages = int((self.folder / "statm").read_text().split()[1])
        return {
            "rss_mib": round(pages * 4096 / MIB, 1),
            "threads": len(list((self.folder / "task").iterdir())),
            "open_files": len(list((self.folder / "fd").iterdir())),
        }


def flat(highest: list[float]) -> bool:
    return highest[3] <= highest[1] * (1 + SHARE) + SPARE_MIB
