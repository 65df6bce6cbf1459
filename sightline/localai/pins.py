"""The published checksum of LocalAI's binary: taken from its release once, remembered, and held to."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path

LONGEST = 1_000_000
"""Bytes of a list of checksums; the real one has some lines."""
_LINE = re.compile(r"^([0-9a-f]{64})[ \t]+\*?(?:\./)?(\S+)$")


class PinProblem(Exception):
    """No checksum, or not the one that was seen before; says where and what to do."""


def published_sha256(
    url: str, asset: str, remembered: Path, fetch: Callable[[str], bytes] | None = None
) -> str:
    """The sha256 of `asset` in the list of checksums at `url`.

    The first time it is fetched (https, whose certificate is all that vouches for it) and written to
    `remembered`; later the file is believed and nothing fetched. Raises PinProblem.
    """
    try:
        if known := _find(remembered.read_text(encoding="ascii"), asset):
            return known
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as problem:
        raise PinProblem(f"{remembered} cannot be read ({problem}): mend or remove it") from None
    try:
        text = (fetch or _fetch)(url).decode("ascii")
    except (OSError, UnicodeDecodeError) as problem:
        raise PinProblem(
            f"{url} cannot be had ({problem}). Look the binary's sha256 up elsewhere and set "
            "sightline_localai_binary_sha256"
        ) from None
    found = _find(text, asset)
    if not found:
        raise PinProblem(f"{url} names no {asset}: is sightline_localai_version a version that was released?")
    remembered.parent.mkdir(parents=True, exist_ok=True)
    beside = remembered.with_name(f".{remembered.name}.{os.getpid()}")
    with beside.open("w", encoding="ascii") as file:
        file.write(f"{found}  {asset}\n")
    beside.replace(remembered)
    return found


def _find(text: str, asset: str) -> str:
    """ "" where no line, or two that differ, are about it."""
    sums = {
        match[1] for line in text.splitlines() if (match := _LINE.match(line.strip())) and match[2] == asset
    }
    return sums.pop() if len(sums) == 1 else ""


def _fetch(url: str) -> bytes:
    if not url.startswith("https://"):
        raise OSError("only https is believed")
    with urllib.request.urlopen(url, timeout=30) as answer:
        if not answer.geturl().startswith("https://"):
            raise OSError(f"it leads to {answer.geturl()}, and only https is believed")
        return bytes(answer.read(LONGEST))
