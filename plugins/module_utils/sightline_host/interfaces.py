"""The addresses of this host's network interfaces, as the kernel lists them.

No program is asked: `ip` is missing in many containers. Source of the layout: rtnetlink(7) and the kernel's
linux/if_addr.h (struct ifaddrmsg, IFA_ADDRESS 1, IFA_LOCAL 2), linux/netlink.h (struct nlmsghdr).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from .reading import Facts

_GET_ADDRESSES, _NEW_ADDRESS = 22, 20
_ERROR, _DONE = 2, 3
_REQUEST_ALL = 0x301
_HEADER, _ADDRESS, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
_FAMILIES = {2: socket.AF_INET, 10: socket.AF_INET6}


def read_interfaces() -> list[Facts] | None:
    """[{"name", "address", "prefix"}], loopback included; None where the kernel does not tell."""
    answers: list[bytes] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asked:
            asked.settimeout(5)
            asked.bind((0, 0))
            length = _HEADER.size + _ADDRESS.size
            header = _HEADER.pack(length, _GET_ADDRESSES, _REQUEST_ALL, 1, 0)
            asked.send(header + _ADDRESS.pack(0, 0, 0, 0, 0))
            while not answers or not _is_last(answers[-1]):
                answers.append(asked.recv(2**18))
        names = dict(socket.if_nameindex())
    except OSError:
        return None
    found: list[Facts] = []
    for index, address, prefix in addresses(b"".join(answers)):
        if index in names:
            found.append({"name": names[index], "address": address, "prefix": prefix})
    return found


def addresses(answer: bytes) -> Iterator[tuple[int, str, int]]:
    """Interface's index, address and length of the network's prefix, of each message of a kernel's answer."""
    for kind, body in _messages(answer):
        if kind != _NEW_ADDRESS:
            continue
        family, prefix, _, _, index = _ADDRESS.unpack_from(body)
        told = dict(_attributes(body[_ADDRESS.size :]))
        # Of a line between two points the first is the other end's.
        packed = told.get(2) or told.get(1)
        if packed and family in _FAMILIES:
            yield index, socket.inet_ntop(_FAMILIES[family], packed), prefix


def _is_last(answer: bytes) -> bool:
    return any(kind in (_DONE, _ERROR) for kind, _ in _messages(answer))


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    while len(answer) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(answer)
        if length < _HEADER.size:
            return
        yield kind, answer[_HEADER.size : length]
        answer = answer[-(-length // 4) * 4 :]


def _attributes(rest: bytes) -> Iterator[tuple[int, bytes]]:
    while len(rest) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(rest)
        if length < _ATTRIBUTE.size:
            return
        yield kind, rest[_ATTRIBUTE.size : length]
        rest = rest[-(-length // 4) * 4 :]
