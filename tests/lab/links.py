"""Network links by name, through ip(8)."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.commands import run, succeeds


def ip(*words: str, inside: int | None = None) -> str:
    """Run ip(8), in the network namespace of process `inside` if given. Raises LabError."""
    apart = ["nsenter", f"--net=/proc/{inside}/ns/net"] if inside else []
    return run(*apart, "ip", *words)


def names() -> set[str]:
    return {link["ifname"] for link in described("link")}


def described(what: str) -> list[dict[str, Any]]:
    """ip's own JSON of all links ("link") or addresses ("address")."""
    listed: list[dict[str, Any]] = json.loads(ip("-json", what, "show") or "[]")
    return listed


def add_bridge(name: str, hardware: str | None = None) -> None:
    """A bridge; without an address of its own (`hardware`) it takes on those of what is plugged into it."""
    address = ["address", hardware] if hardware else []
    ip("link", "add", name, *address, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
    ip("link", "set", name, "addrgenmode", "none")
    ip("link", "set", name, "up")


def plug(name: str, bridge: str) -> None:
    ip("link", "set", name, "addrgenmode", "none")
    ip("link", "set", name, "master", bridge, "up")


def remove(name: str) -> None:
    """Remove it if it is there; the far end of a cable goes with the near one."""
    succeeds("ip", "link", "delete", name)
