"""A control group for each host: it holds whatever runs there, so nothing of a host outlives it.

Hosts that share a group would share systemd's own groups below it, and stop each other's services.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.lab.problems import LabError


def hierarchies() -> list[Path]:
    """Mount points of the v2 tree (first) and, where the machine still has it, of systemd's named v1 tree."""
    found: list[Path] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        where, kind, options = Path(before.split()[4]), after.split()[0], after.split()[2]
        if kind == "cgroup2":
            found.insert(0, where)
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.append(where)
    return found


def make(name: str) -> list[Path]:
    """Make the group `name` ("lab/host") in every hierarchy. Raises LabError."""
    made = []
    for hierarchy in hierarchies():
        try:
            (hierarchy / name).mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise LabError(f"cannot make a control group: {problem}") from None
        made.append(hierarchy / name)
    return made


def enter(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def members(name: str) -> set[int]:
    """Pids of everything that runs in the group or below it."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for folder in _below(hierarchy / name):
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    return found


def names_below(name: str) -> set[str]:
    """Names of the groups directly in group `name`."""
    found: set[str] = set()
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):
            found |= {entry.name for entry in (hierarchy / name).iterdir() if entry.is_dir()}
    return found


def remove(name: str, patience: float = 10) -> None:
    """Kill what runs in the group and remove it with all groups below. Raises LabError when that fails."""
    deadline = time.monotonic() + patience
    while pids := members(name):
        if time.monotonic() > deadline:
            raise LabError(f"processes of {name} cannot be killed: {sorted(pids)}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    for hierarchy in hierarchies():
        for folder in reversed(_below(hierarchy / name)):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError as problem:
                    # The kernel lets go of a group a moment after its last process.
                    if time.monotonic() > deadline:
                        raise LabError(f"cannot remove the control group {folder}: {problem}") from None
                    time.sleep(0.02)


def _below(folder: Path) -> list[Path]:
    """The group and all groups in it, outermost first."""
    return [Path(path) for path, _, _ in os.walk(folder)]
