"""Processes by pid and start time, so that a pid that the kernel gave to another program is never touched."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process as it was when recorded. `started` is in clock ticks since boot (proc(5), stat, field 22)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Raises ProcessLookupError when there is no such process."""
        started = _started(pid)
        if started is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, started)

    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def send(self, number: int) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, number: int = signal.SIGTERM, patience: float = 10) -> None:
        """Ask with `number`, wait `patience` seconds, then kill. A child of ours is reaped."""
        self.send(number)
        if not self.gone_within(patience):
            self.send(signal.SIGKILL)
            self.gone_within(5)

    def gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return True


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _started(pid: int) -> int | None:
    """None for no process, and for one that has ended and only waits for its parent to notice."""
    try:
        # The second field is the name in brackets, and may itself hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
