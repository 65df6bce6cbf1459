"""How fast disk and line are, from what dd, curl and wget said on the box."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sightline.accept.sections import Said, Section

_DONE = re.compile(r"^(\d+) bytes .*?copied, ([\d.]+(?:e-?\d+)?) s", re.MULTILINE)
"""dd's last line: GNU's `16777216 bytes (17 MB, 16 MiB) copied, 0.0155 s, 1.1 GB/s`, busybox's
`16777216 bytes (16.0MB) copied, 0.015503 seconds, 1.0GB/s`. With LC_ALL=C it has a point."""


@dataclass(frozen=True)
class Flow:
    """Bytes that went one way, and the seconds that they took."""

    bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class DiskSpeed:
    """`write` and `read` are None where they could not be measured, with the reason in `trouble`.

    `write_cached`, `read_cached`: the page cache may have answered. `stalled`: not even one piece was
    written or read before the time was over.
    """

    write: Flow | None
    read: Flow | None
    write_cached: bool
    read_cached: bool
    trouble: str | None
    stalled: bool = False


@dataclass(frozen=True)
class LineSpeed:
    """What came from one address. `trouble` says why nothing did, in the words of the program there."""

    address: str
    flow: Flow | None
    trouble: str | None


def disk_speed(said: Said) -> DiskSpeed:
    """From the sections of disk.sh."""
    folder = said.get("folder")
    trouble = None
    if folder is None or folder.code != 0:
        trouble = _last_line(folder) or "its folder could not be made"
    way = {kind: next((how for how, _ in said.under(kind)), "cached") for kind in ("writing", "reading")}
    write, read = said.get("write"), said.get("read")
    stalled = False
    for section in (said.get("prepare"), write, read):
        if trouble is None and section is not None and section.code != 0:
            trouble = _last_line(section) if section.code is not None else "the time was over"
            stalled = section.code is None and _flow(section) is None
    return DiskSpeed(
        write=_flow(write),
        read=_flow(read),
        write_cached=way["writing"] == "cached",
        read_cached=way["reading"] == "cached",
        trouble=trouble,
        stalled=stalled,
    )


def line_speeds(said: Said) -> tuple[LineSpeed, ...]:
    """From the sections of line.sh; an address `none` means that the box has no program to fetch with."""
    return tuple(_line_speed(address, section) for address, section in said.under("line"))


def _line_speed(address: str, section: Section) -> LineSpeed:
    if address == "none":
        return LineSpeed("", None, "the box has neither curl nor wget")
    times = re.search(r"^time ([\d.]+) ([\d.]+)$", section.text, re.MULTILINE)
    counted = next(iter(_pieces(section)), None)
    if times is None or counted is None:
        return LineSpeed(address, None, "the time was over")
    if counted.bytes == 0:
        said = [line for line in section.text.splitlines() if re.match(r"(curl|wget)\b", line)]
        return LineSpeed(address, None, said[0][:200] if said else f"nothing came (exit code {section.code})")
    # The clock of the box ticks in hundredths of a second.
    return LineSpeed(address, Flow(counted.bytes, max(0.01, float(times[2]) - float(times[1]))), None)


def _flow(section: Section | None) -> Flow | None:
    """The sum over all pieces; None where not a single one ended."""
    pieces = list(_pieces(section)) if section else []
    if not pieces:
        return None
    return Flow(sum(piece.bytes for piece in pieces), sum(piece.seconds for piece in pieces))


def _pieces(section: Section) -> Iterator[Flow]:
    for found in _DONE.finditer(section.text):
        yield Flow(int(found[1]), float(found[2]))


def _last_line(section: Section | None) -> str | None:
    lines = [line.strip() for line in (section.text if section else "").splitlines() if line.strip()]
    failed = [line for line in lines if not re.match(r"\d+(\+\d+ records| bytes)", line)]
    return failed[-1][:200] if failed else None
