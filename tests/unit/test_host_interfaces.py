"""The addresses of interfaces: a kernel's answer put together by hand, and this machine's own."""

from __future__ import annotations

import socket
import struct

from sightline_host.interfaces import addresses, read_interfaces


def message(kind: int, body: bytes) -> bytes:
    whole = struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body
    return whole + bytes(-len(whole) % 4)


def address(index: int, family: int, prefix: int, *told: tuple[int, bytes]) -> bytes:
    body = struct.pack("=BBBBI", family, prefix, 0, 0, index)
    for kind, value in told:
        body += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return message(20, body)


def test_an_answer_is_read_as_the_kernel_writes_it() -> None:
    answer = (
        address(1, 2, 8, (1, bytes([127, 0, 0, 1])), (2, bytes([127, 0, 0, 1])), (3, b"lo\0"))
        + address(7, 2, 32, (1, bytes([10, 9, 0, 2])), (2, bytes([10, 9, 0, 1])))
        + address(3, 10, 64, (1, bytes([0xFD] + [0] * 14 + [2])))
        + address(9, 99, 0, (1, b"????"))
        + message(16, b"something else")
        + message(3, bytes(4))
    )
    assert list(addresses(answer)) == [(1, "127.0.0.1", 8), (7, "10.9.0.1", 32), (3, "fd00::2", 64)]


def test_what_is_cut_off_ends_the_list() -> None:
    assert list(addresses(b"\x04\0\0\0" + bytes(12))) == []
    assert list(addresses(address(1, 2, 8)[:10])) == []


def test_this_machine_has_its_loopback() -> None:
    found = read_interfaces()
    assert found is not None
    assert {"name": "lo", "address": "127.0.0.1", "prefix": 8} in found
    assert {entry["name"] for entry in found} <= {name for _, name in socket.if_nameindex()}
