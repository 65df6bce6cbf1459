"""Where else on the host the root could lie: disks that are larger, or that outlive the box's restart."""

from __future__ import annotations

from typing import Any

from sightline.plan.reading import read_or_none
from sightline.plan.render import human_bytes
from sightline.plan.situation import Situation


def larger_disk(there: Situation, needed: int) -> str:
    """Return words that name the host's roomiest disk for `needed` bytes, "" where none has that room.

    A network disk comes only after all others: models and Python start slowly from there.
    """
    fitting = [disk for disk in _writable(there) if disk["free_bytes"] >= needed]
    if not fitting:
        return ""
    best = max(fitting, key=lambda disk: (not disk["network"], disk["free_bytes"]))
    return f", such as {best['path']} ({human_bytes(best['free_bytes'])} free): {_setting(best['path'])}"


def data_disk_notes(there: Situation) -> list[str]:
    """Say that a rented box has a data disk, while the root is to be made on its system disk."""
    root = read_or_none(there.settings, "root", str) or ""
    disks = [disk for disk in _writable(there) if disk["rental"] and not disk["network"]]
    if not disks or any(f"{root}/".startswith(f"{disk['path']}/") for disk in disks):
        return []
    best = max(disks, key=lambda disk: disk["free_bytes"])
    return [
        f"{best['path']} is a data disk ({human_bytes(best['free_bytes'])} free), which on most rented boxes "
        f"outlives what lies in {root}: {_setting(best['path'])}"
    ]


def _writable(there: Situation) -> list[dict[str, Any]]:
    kinds = {"path": str, "free_bytes": int, "network": bool, "rental": bool, "writable": bool}
    return [
        disk
        for disk in read_or_none(there.facts, "disks", list) or []
        if isinstance(disk, dict)
        and all(isinstance(disk.get(name), kind) for name, kind in kinds.items())
        and disk["writable"]
    ]


def _setting(path: str) -> str:
    return f"-e sightline_root={'/opt' if path == '/' else path.rstrip('/')}/sightline"
