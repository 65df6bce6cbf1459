"""Limits that a container's host sets, a slow disk and little memory, by control groups of version 1.

What a host starts from then on is limited; its sshd is put into the group, and all that it starts follows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab import lab
from tests.lab.commands import run
from tests.lab.place import Record
from tests.lab.problems import LabError, NotHere

_TOP = Path("/sys/fs/cgroup")
_SEEN_FROM_INSIDE = "/sys/fs/cgroup/memory"


@contextmanager
def slow_disk(record: Record, tag: str, rate: int) -> Iterator[None]:
    """The disk on which the host's changes lie takes and gives it `rate` bytes a second meanwhile.

    Raises NotHere where this kernel throttles no disks.
    """
    with _group("blkio", tag, record) as group:
        device = os.stat(lab_disk(record)).st_dev
        # A partition is throttled with the whole disk that it is on.
        disk = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
        disk = disk.parent if (disk / "partition").exists() else disk
        try:
            number = (disk / "dev").read_text().strip()
            for way in ("read", "write"):
                (group / f"blkio.throttle.{way}_bps_device").write_text(f"{number} {rate}")
        except OSError as problem:
            raise NotHere(f"this kernel does not throttle {disk.name} ({problem.strerror})") from None
        yield


@contextmanager
def little_memory(record: Record, tag: str, size: int) -> Iterator[None]:
    """The host's processes may have `size` bytes together, and see it as a container of docker's does.

    Raises NotHere where this kernel limits no memory this way.
    """
    with _group("memory", tag, record) as group:
        try:
            (group / "memory.limit_in_bytes").write_text(str(size))
        except OSError as problem:
            raise NotHere(f"this kernel limits no memory ({problem.strerror})") from None
        process = lab.container(record)
        assert process is not None
        within = ["nsenter", f"--mount=/proc/{process.pid}/ns/mnt"]
        script = f"""
        set -e
        mount -t tmpfs -o mode=755 none /sys/fs/cgroup
        mkdir -p {_SEEN_FROM_INSIDE} /sys/fs/cgroup/all
        mount -t cgroup -o memory none /sys/fs/cgroup/all
        mount --bind /sys/fs/cgroup/all/{group.relative_to(_TOP / "memory")} {_SEEN_FROM_INSIDE}
        umount /sys/fs/cgroup/all
        """
        run(*within, "sh", "-c", script)
        try:
            yield
        finally:
            run(*within, "umount", _SEEN_FROM_INSIDE, "/sys/fs/cgroup")


def lab_disk(record: Record) -> str:
    """The folder in which the host's changes lie. Raises LabError for one whose changes are in memory."""
    if "/" in record.disks:
        raise LabError(f"{record.name} has its disk in memory; start it on disk")
    return str(Path(__file__).resolve().parents[2])


@contextmanager
def _group(controller: str, tag: str, record: Record) -> Iterator[Path]:
    """A group for the host's first process; at the end its processes go back, and the group goes."""
    process = lab.container(record)
    home = _TOP / controller
    if process is None or not (home / "cgroup.procs").exists():
        raise NotHere(f"this machine has no control groups of version 1 for {controller}")
    before = _group_of(process.pid, controller)
    group = home / f"sightline-lab-{tag}-{record.index}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        yield group
    finally:
        _leave(group, home / before.lstrip("/"))


def _group_of(pid: int, controller: str) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    return "/"


def _leave(group: Path, home: Path) -> None:
    deadline = time.monotonic() + 10
    while group.exists():
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (home / "cgroup.procs").write_text(pid)
        with suppress(OSError):
            group.rmdir()
        if time.monotonic() > deadline:
            raise LabError(f"cannot remove the control group {group}")
        time.sleep(0.02)
