"""What a host says about sockets and processes, read from /proc: tools like ss are not everywhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

_LISTENING = "0A"


def listening_addresses(tables: str, port: int) -> set[str]:
    """Addresses on which `port` is listened, from the text of /proc/net/tcp and /proc/net/tcp6."""
    return {address for address, listened in _listening(tables) if listened == port}


def _listening(tables: str) -> Iterator[tuple[str, int]]:
    for line in tables.splitlines():
        fields = line.split()
        if len(fields) < 4 or ":" not in fields[1] or fields[3] != _LISTENING:
            continue
        address, port = fields[1].split(":")
        yield _readable(address), int(port, 16)


def _readable(address: str) -> str:
    """The kernel writes addresses as hexadecimal words of 32 bits in the machine's (little-endian) order."""
    raw = bytes.fromhex(address)
    words = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    if len(words) == 4:
        return str(ipaddress.IPv4Address(words))
    wide = ipaddress.IPv6Address(words)
    return str(wide.ipv4_mapped or wide)
