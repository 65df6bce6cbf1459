"""How fast disk and line are, from what dd, curl and wget said on the box."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sightline.accept.sections import Said, Section

_PIECE = re.compile(
    r"^(?P<records>\d+)\+\d+ records out\n"
    r"(?:(?P<bytes>\d+) bytes .*?copied, (?P<seconds>[\d.]+(?:e-?\d+)?) s.*\n)?"
    r"(?:(?!time ).*\n)*?time (?P<from>[\d.]+) (?P<to>[\d.]+)$",
    re.MULTILINE,
)
"""What dd says of one piece, and the box's uptime before and after it. GNU's last line is
`16777216 bytes (17 MB, 16 MiB) copied, 0.0155 s, 1.1 GB/s`, busybox's
`16777216 bytes (16.0MB) copied, 0.015503 seconds, 1.0GB/s`, and some busyboxes have none."""

_DISK_RECORD, _LINE_RECORD = 2**20, 4096
"""Bytes that dd moves at a time, in disk.sh and in line.sh."""

_CRASHED = (126, 127, 134, 139)
"""Exit codes of a program that cannot be started, or that crashes (128 and the signal's number)."""

_TICK = 0.01
"""Seconds in which /proc/uptime counts: nothing took less."""


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
    """What came from one address. `trouble` says why nothing did, in the words of the program there.

    Without an address it is the box that has no program to fetch with.
    """

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
    piece = next(_pieces(section, _LINE_RECORD), None)
    if piece is None:
        return LineSpeed(address, None, "the time was over")
    counted, elapsed = piece
    if counted.bytes == 0 and section.code in _CRASHED:
        return LineSpeed("", None, f"the box's program to fetch with fails (exit code {section.code})")
    if counted.bytes == 0:
        said = [line for line in section.text.splitlines() if re.match(r"(curl|wget)\b", line)]
        return LineSpeed(address, None, said[0][:200] if said else f"nothing came (exit code {section.code})")
    return LineSpeed(address, Flow(counted.bytes, elapsed), None)


def _flow(section: Section | None) -> Flow | None:
    """The sum over all pieces; None where not a single one ended."""
    pieces = [piece for piece, _ in _pieces(section, _DISK_RECORD)] if section else []
    if not pieces:
        return None
    return Flow(sum(piece.bytes for piece in pieces), sum(piece.seconds for piece in pieces))


def _pieces(section: Section, record: int) -> Iterator[tuple[Flow, float]]:
    """Each piece by dd's own count and time, with the time that it took by the box's uptime.

    Where dd tells only whole records of `record` bytes, these are the count, and the uptime is the time.
    """
    for found in _PIECE.finditer(section.text):
        elapsed = max(_TICK, float(found["to"]) - float(found["from"]))
        if found["bytes"]:
            yield Flow(int(found["bytes"]), float(found["seconds"])), elapsed
        else:
            yield Flow(int(found["records"]) * record, elapsed), elapsed


def _last_line(section: Section | None) -> str | None:
    lines = [line.strip() for line in (section.text if section else "").splitlines() if line.strip()]
    failed = [line for line in lines if not re.match(r"\d+(\+\d+ records| bytes)|time ", line)]
    return failed[-1][:200] if failed else None
