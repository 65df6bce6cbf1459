"""Fingerprints of OpenPGP keys: whether a repository's key is the one that was expected.

Only what is needed to name a key is read; signatures are apt's to check. Source of the format: RFC 4880,
sections 4.2 (packet headers), 5.5.2 (public keys), 6.2 (armour) and 12.2 (fingerprints).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

_PUBLIC_KEY = 6
_BEGIN, _END = b"-----BEGIN PGP PUBLIC KEY BLOCK-----", b"-----END PGP PUBLIC KEY BLOCK-----"


class KeyProblem(Exception):
    """What was read is no key, or not the expected one; the message says which."""


def primary_fingerprints(key: bytes) -> list[str]:
    """Fingerprints (40 hex digits, upper case) of the primary keys in `key`, armoured or not.

    Raises KeyProblem when it is no OpenPGP key, or one of a version without such fingerprints.
    """
    found = []
    for tag, body in _packets(_dearmoured(key)):
        if tag == _PUBLIC_KEY:
            if not body or body[0] != 4:
                raise KeyProblem(f"a key of version {body[0] if body else '?'}, where version 4 is known")
            whole = b"\x99" + len(body).to_bytes(2, "big") + body
            found.append(hashlib.sha1(whole, usedforsecurity=False).hexdigest().upper())
    if not found:
        raise KeyProblem("no OpenPGP key")
    return found


def expect(key: bytes, fingerprint: str) -> None:
    """Raise KeyProblem unless `key` holds the key with this fingerprint and no other."""
    wanted = fingerprint.replace(" ", "").upper()
    found = primary_fingerprints(key)
    if found != [wanted]:
        raise KeyProblem(f"{' and '.join(found)} instead of {wanted}")


def armoured(key: bytes) -> str:
    """The key as text, without the headers and comments that it may have come with. Raises KeyProblem."""
    body = base64.b64encode(_dearmoured(key)).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([_BEGIN.decode(), "", *lines, _END.decode()])


def _dearmoured(key: bytes) -> bytes:
    if _BEGIN not in key:
        return key
    found = b""
    for part in key.split(_BEGIN)[1:]:
        block = part.partition(_END)[0].replace(b"\r", b"")
        # Headers end with an empty line; the last line is a checksum, marked by "=".
        _, _, body = block.partition(b"\n\n")
        lines = [line for line in body.split(b"\n") if line and not line.startswith(b"=")]
        try:
            found += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as problem:
            raise KeyProblem(f"a damaged key ({problem})") from problem
    return found


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        header = data[position]
        if not header & 0x80:
            raise KeyProblem("no OpenPGP key")
        new = bool(header & 0x40)
        tag = header & 0x3F if new else (header & 0x3C) >> 2
        after = position + 1
        start, length = _new_length(data, after) if new else _old_length(data, after, header & 3)
        if start + length > len(data):
            raise KeyProblem("a key that ends too early")
        yield tag, data[start : start + length]
        position = start + length


def _new_length(data: bytes, position: int) -> tuple[int, int]:
    """Where the packet's body starts and how many bytes it has, for headers of the newer format."""
    first = data[position] if position < len(data) else 255
    if first < 192:
        return position + 1, first
    if first < 224 and position + 1 < len(data):
        return position + 2, ((first - 192) << 8) + data[position + 1] + 192
    if first == 255:
        return position + 5, int.from_bytes(data[position + 1 : position + 5], "big")
    raise KeyProblem("a key in parts, which no repository has")


def _old_length(data: bytes, position: int, kind: int) -> tuple[int, int]:
    """The same for headers of the older format; `kind` 3 reaches to the end."""
    if kind == 3:
        return position, len(data) - position
    size = 1 << kind
    return position + size, int.from_bytes(data[position : position + size], "big")
