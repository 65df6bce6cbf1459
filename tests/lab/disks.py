"""Fills a host's disk, without writing a byte: its tmpfs becomes as small as its content. And frees it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tests.lab.commands import run
from tests.lab.place import Place, Record
from tests.lab.plan import disk_path
from tests.lab.problems import LabError

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_PAGE = os.sysconf("SC_PAGE_SIZE")


def size(text: str) -> int:
    """`8g`, `512m`, `64k` or plain bytes. Raises LabError."""
    found = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if not found:
        raise LabError(f"a size is a number with k, m or g, such as 8g, not '{text}'")
    return int(found[1]) * _UNITS[found[2]]


def disk_of(record: Record, path: str) -> str:
    """The disk on which `path` of the host lies. Raises LabError when that is this machine's own disk."""
    if not path.startswith("/"):
        raise LabError(f"a path in the host begins with /, '{path}' does not")
    fitting = [disk for disk in record.disks if PurePosixPath(path).is_relative_to(disk)]
    if not fitting:
        raise LabError(
            f"{path} of {record.name} lies on this machine's disk, which is not to be filled; "
            "start the host without --on-disk"
        )
    return max(fitting, key=len)


def fill(place: Place, record: Record, path: str, leave: int) -> Record:
    """Only `leave` bytes are free on the disk of `path`, from now on."""
    disk = disk_of(record, path)
    mounted = disk_path(place.host(record.name), disk)
    used = _used(record.keeper.pid, mounted)
    _resize(record.keeper.pid, mounted, max(_PAGE, used + leave))
    return _note(place, record, {*record.full, disk})


def clear(place: Place, record: Record, path: str) -> Record:
    """The disk of `path` has its own size again."""
    disk = disk_of(record, path)
    _resize(record.keeper.pid, disk_path(place.host(record.name), disk), record.disks[disk])
    return _note(place, record, {*record.full} - {disk})


def _used(keeper: int, mounted: Path) -> int:
    # Seen through the keeper's own root, since the disk is mounted in its namespace only.
    told = os.statvfs(f"/proc/{keeper}/root{mounted}")
    return (told.f_blocks - told.f_bfree) * told.f_frsize


def _resize(keeper: int, mounted: Path, to: int) -> None:
    within = ["nsenter", f"--mount=/proc/{keeper}/ns/mnt"]
    run(*within, "mount", "-o", f"remount,size={to}", str(mounted))


def _note(place: Place, record: Record, full: set[str]) -> Record:
    noted = replace(record, full=tuple(sorted(full)))
    place.write(noted)
    return noted
