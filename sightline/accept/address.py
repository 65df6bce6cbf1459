"""Where a box is, as a person writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_ADDRESS = re.compile(r"(?:(?P<user>[^@\s:]+)@)?(?P<host>\[[0-9A-Fa-f:]+\]|[^@\s:\[\]]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Way:
    """How to reach a box. What is None is left to ssh's configuration, then to ssh's defaults.

    `options` are lines of that configuration, each a keyword and its value, which outrank it.
    """

    host: str
    user: str | None = None
    port: int | None = None
    key: Path | None = None
    config: Path | None = None
    accept_new: bool = False
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.user + '@' if self.user else ''}{self.host}{f':{self.port}' if self.port else ''}"


def read_address(address: str, port: int | None = None) -> Way:
    """`user@host`, `host:port`, `user@[::1]:port`. Raises ValueError with what is wrong."""
    found = _ADDRESS.fullmatch(address)
    if not found or found["host"].startswith("-"):
        raise ValueError(f"{address!r} is no address; write user@host or user@host:port")
    named = int(found["port"]) if found["port"] else None
    if named is not None and port is not None and named != port:
        raise ValueError(f"two ports are given, {named} and {port}; leave one out")
    port = named if port is None else port
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"{port} is no port; ports go from 1 to 65535")
    return Way(found["host"].strip("[]"), found["user"], port)
