"""Rates as people write them, and seconds as people read them."""

from __future__ import annotations

import re

_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_BINARY = {"k": 2.0**10, "m": 2.0**20, "g": 2.0**30, "t": 2.0**40}
_RATE = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)(bit|b)(/s|ps|)\s*", re.IGNORECASE)


def parse_rate(text: str) -> float:
    """Return bytes a second of `1gbit`, `300mbit/s`, `12.5MB/s`, `1Gbps`.

    A large B is bytes. A small b is bits where people mean nothing else by it: in `gbps` and in `Gb/s`. In
    `100mb/s` it is either, and a guess may be wrong by eight.

    Raises:
        ValueError: it is no such rate, it is one of two, or it is nothing.
    """
    found = _RATE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no rate; write 1gbit, 300mbit or 40MB/s")
    number, prefix, binary, word, each = found.groups()
    bits = word.lower() == "bit" or (word == "b" and not binary and (each == "ps" or prefix.isupper()))
    if not bits and (word == "b" or each == "PS"):
        raise ValueError(f"{text!r} may mean bits or bytes; write {number}{prefix}bit or {number}{prefix}B/s")
    scale = (_BINARY if binary and prefix else _PREFIXES)[prefix.lower()]
    rate = float(number) * scale / (8 if bits else 1)
    if rate <= 0:
        raise ValueError(f"{text!r} is nothing; over such a line nothing arrives")
    return rate


def human_seconds(seconds: float) -> str:
    """Write a time with the two largest units: 3725 -> '1 h 2 min', 75 -> '1 min 15 s', 0.42 -> '0.42 s'."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
