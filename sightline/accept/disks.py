"""Disks of the box that could hold a model, and which of them is the data disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.accept.sections import Said
from sightline.hostside import LEAST_BYTES, RENTAL

_NETWORK = ("nfs", "cifs", "smb", "ceph", "lustre", "gluster", "fuse", "9p", "afs", "beegfs", "gpfs")
_NAMED = "named"
"""What facts.sh writes for a file system when the person named the folder."""

_IN_MEMORY = ("tmpfs", "ramfs")
_CACHING = ("zfs", "fuse")
"""File systems that may take O_DIRECT and answer from memory all the same."""


@dataclass(frozen=True)
class Disk:
    """A folder with its room in bytes. `rental`: it lies where rental houses put what outlives a restart.

    `named`: the person named it.
    """

    path: str
    filesystem: str
    free_bytes: int
    total_bytes: int
    writable: bool
    rental: bool
    network: bool
    named: bool = False

    @property
    def in_memory(self) -> bool:
        """It is no disk: what lies there is in main memory, and gone with the next start."""
        return self.filesystem in _IN_MEMORY

    @property
    def caching(self) -> bool:
        """What is read may come from memory, whatever was asked for."""
        return self.filesystem.startswith(_CACHING)


def read_disks(said: Said) -> tuple[Disk, ...]:
    """From the sections `disk KIND FOLDER`. A device that is mounted twice is told once."""
    found: list[Disk] = []
    seen: set[str] = set()
    mounts = said.text("file /proc/self/mounts")
    for rest, section in said.under("disk"):
        kind, _, path = rest.partition(" ")
        lines = section.text.splitlines()
        fields = lines[-1].split() if len(lines) > 2 and section.code == 0 else []
        sizes = fields[1:4]
        if len(sizes) < 3 or not all(size.isdigit() for size in sizes):
            continue
        device, named = fields[0], kind == _NAMED
        kind = _filesystem(path, mounts) if named else kind
        if not named and device.startswith("/") and device in seen:
            continue
        seen.add(device)
        found.append(
            Disk(
                path=path,
                filesystem=kind,
                free_bytes=int(sizes[2]) * 1024,
                total_bytes=int(sizes[0]) * 1024,
                writable=lines[0] == "writable",
                rental=any(path == place or path.startswith(f"{place}/") for place in RENTAL),
                network=kind.startswith(_NETWORK),
                named=named,
            )
        )
    return tuple(found)


def _filesystem(path: str, mounts: str) -> str:
    """The file system that a folder lies on: that of the longest mount point above it, the last one there."""
    best, found = "", "unknown"
    for line in mounts.splitlines():
        fields = line.split()
        point = fields[1].replace("\\040", " ") if len(fields) > 2 else ""
        inside = point and (path == point or path.startswith(f"{point.rstrip('/')}/"))
        if inside and len(point) >= len(best):
            best, found = point, fields[2]
    return found


def choose(disks: Sequence[Disk], named: str | None) -> Disk | None:
    """The data disk: the one that the person named, else the largest that the house puts there, else the
    largest big mount, else the root. Only what is writable and no network disk; None where there is nothing.
    """
    if named is not None:
        return next((disk for disk in disks if disk.named), None)
    usable = [disk for disk in disks if disk.writable and not disk.network and not disk.named]
    for kind in (
        [disk for disk in usable if disk.rental],
        [disk for disk in usable if disk.path != "/" and disk.total_bytes >= LEAST_BYTES],
        [disk for disk in usable if disk.path == "/"],
    ):
        if kind:
            return max(kind, key=lambda disk: disk.free_bytes)
    return None
