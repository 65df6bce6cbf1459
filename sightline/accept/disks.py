"""Disks of the box that could hold a model, and which of them is the data disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.accept.sections import Said
from sightline.hostside import LEAST_BYTES, RENTAL

_NETWORK = ("nfs", "cifs", "smb", "ceph", "lustre", "gluster", "fuse", "9p", "afs", "beegfs", "gpfs")
NAMED = "named"
"""What facts.sh writes for a file system when the person named the folder."""


@dataclass(frozen=True)
class Disk:
    """A folder with its room in bytes. `rental`: it lies where rental houses put what outlives a restart."""

    path: str
    filesystem: str
    free_bytes: int
    total_bytes: int
    writable: bool
    rental: bool
    network: bool


def read_disks(said: Said) -> tuple[Disk, ...]:
    """From the sections `disk KIND FOLDER`. A device that is mounted twice is told once."""
    found: list[Disk] = []
    seen: set[str] = set()
    for rest, section in said.under("disk"):
        kind, _, path = rest.partition(" ")
        lines = section.text.splitlines()
        fields = lines[-1].split() if len(lines) > 2 and section.code == 0 else []
        sizes = fields[1:4]
        if len(sizes) < 3 or not all(size.isdigit() for size in sizes):
            continue
        device = fields[0]
        if kind != NAMED and device.startswith("/") and device in seen:
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
            )
        )
    return tuple(found)


def choose(disks: Sequence[Disk], named: str | None) -> Disk | None:
    """The data disk: the one that the person named, else the largest that the house puts there, else the
    largest big mount, else the root. Only what is writable and no network disk; None where there is nothing.
    """
    if named is not None:
        return next((disk for disk in disks if disk.filesystem == NAMED), None)
    usable = [disk for disk in disks if disk.writable and not disk.network]
    for kind in (
        [disk for disk in usable if disk.rental],
        [disk for disk in usable if disk.path != "/" and disk.total_bytes >= LEAST_BYTES],
        [disk for disk in usable if disk.path == "/"],
    ):
        if kind:
            return max(kind, key=lambda disk: disk.free_bytes)
    return None
