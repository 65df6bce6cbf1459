"""Rates as people write them, and seconds as people read them."""

from __future__ import annotations

import re

_BITS = {"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "tbit": 1e12}
_BYTES = {"b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_rate(text: str) -> float:
    """Return bytes a second of `1gbit`, `300mbit/s`, `12.5MB/s`: small b is for bits only in the word bit.

    Raises:
        ValueError: it is no such rate, or it is nothing.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)(?:/s|ps)?\s*", text.lower())
    unit = found[2] if found else ""
    if not found or unit not in _BITS | _BYTES:
        raise ValueError(f"{text!r} is no rate; write 1gbit, 300mbit or 40MB/s")
    rate = float(found[1]) * (_BITS[unit] / 8 if unit in _BITS else _BYTES[unit])
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
