"""Versions, compared as numbers."""

from __future__ import annotations


def version_tuple(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: '3.11.2' -> (3, 11, 2), '3.13.0rc1' -> (3, 13, 0).

    What has no leading number gives an empty tuple, which is below every version.
    """
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits.isascii() or not digits:
            break
        numbers.append(int(digits[:9]))
        if digits != part:
            break
    return tuple(numbers)
