"""Disks that could hold models and environments, with the room on them."""

from __future__ import annotations

import os
from pathlib import Path

from .reading import Facts, text_of

RENTAL = ("/root/autodl-tmp", "/root/autodl-fs", "/workspace", "/runpod-volume", "/mnt", "/data")
"""Where rental houses keep what outlives a container's restart, themselves and what is mounted below."""

LEAST_BYTES = 50 * 10**9
"""A mount elsewhere counts from this size on: smaller ones hold no model worth moving for."""

_NETWORK = ("nfs", "cifs", "smb", "ceph", "lustre", "gluster", "fuse", "9p", "afs", "beegfs", "gpfs")
_LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "overlay")


def read_disks(root: Path) -> list[Facts]:
    """Mounts worth a look, each with path, filesystem, network, rental, free_bytes, total_bytes and writable.

    A network mount is only asked for its room when it lies where a rental house puts it: a server that is
    gone would keep the probe waiting. A device that is mounted twice is told once, at its shortest path.
    """
    mounts = [line.split() for line in text_of(root / "proc/self/mounts").splitlines()]
    mounts = sorted((fields for fields in mounts if len(fields) > 3), key=lambda fields: len(fields[1]))
    found: list[Facts] = []
    seen: set[str] = set()
    for device, point, kind, options, *_ in mounts:
        path = point.replace("\\040", " ")
        rental = any(path == place or path.startswith(f"{place}/") for place in RENTAL)
        network = kind.startswith(_NETWORK)
        if not (kind in _LOCAL or path == "/" or (network and rental)) or (
            device.startswith("/") and device in seen
        ):
            continue
        try:
            inside = root / path.lstrip("/")
            if not os.path.isdir(inside):
                continue
            room = os.statvfs(inside)
        except OSError:
            continue
        total, free = room.f_frsize * room.f_blocks, room.f_frsize * room.f_bavail
        if rental or path == "/" or total >= LEAST_BYTES:
            seen.add(device)
            found.append(
                {
                    "path": path,
                    "filesystem": kind,
                    "network": network,
                    "rental": rental,
                    "free_bytes": free,
                    "total_bytes": total,
                    "writable": "rw" in options.split(",") and os.access(inside, os.W_OK | os.X_OK),
                }
            )
    return found
