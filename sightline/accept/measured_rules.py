"""Rules about what was measured: room and speed of the data disk, and the line."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.accept.findings import Examined, Finding
from sightline.accept.needs import Needs
from sightline.accept.speeds import Flow
from sightline.plan.render import human_bytes

SLOWEST_WRITE = 50_000_000
"""Bytes a second. Half of what a single spinning disk writes: slower is a network disk or a throttled one."""

SLOWEST_READ = 100_000_000
"""Bytes a second. What a single spinning disk reads in one piece."""

LONGEST_LOAD = 600
"""Seconds in which the weights must be read, at each start of the server: more is paid for nothing."""

SLOWEST_LINE = 2_000_000
"""Bytes a second. Below 16 Mbit/s also the packages alone keep a person waiting."""

LONGEST_FETCH = 3600
"""Seconds in which everything must have been fetched: the first paid hour, and no more."""

LEAST_FETCHED = 4_000_000
"""Bytes from which on a rate says something about the line; less is told by the round trip."""


def room(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The data disk has room for environment and model."""
    disk = examined.disk
    wanted = human_bytes(needs.disk_bytes)
    if disk is None:
        yield Finding(
            "disk",
            "unclear",
            "no disk that can be written to",
            wanted,
            "nothing could be put anywhere",
            "name a folder with --disk",
        )
        return
    found = f"{human_bytes(disk.free_bytes)} free on {disk.path}"
    if disk.in_memory:
        yield Finding(
            "disk kind",
            "note",
            f"{disk.path} lies in main memory ({disk.filesystem})",
            "a disk",
            "what is put there takes memory, and is gone when the box starts again",
            "name another folder with --disk",
        )
    if disk.free_bytes < needs.disk_bytes:
        yield Finding(
            "disk",
            "bad",
            found,
            wanted,
            f"environment and model of {needs.model} will not fit",
            "rent the box with a larger disk, or name another folder with --disk",
        )
    else:
        yield Finding("disk", "good", found, wanted)


def disk_speed(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The data disk writes and reads fast enough for the model."""
    speed, disk = examined.disk_speed, examined.disk
    if speed is None:
        yield Finding("disk speed", "note", "not measured")
        return
    read_floor = max(SLOWEST_READ, needs.weights_bytes / LONGEST_LOAD)
    ways = (
        ("write", speed.write, speed.write_cached, SLOWEST_WRITE, "fetching the model waits for the disk"),
        ("read", speed.read, speed.read_cached, read_floor, "every start of the server waits for the disk"),
    )
    for way, flow, cached, floor, why in ways:
        wanted = f"{_rate(floor)}"
        if flow is None and speed.stalled and (way == "write" or speed.write is not None):
            yield Finding(
                f"disk {way}",
                "bad",
                "not one piece of 16 MiB before the time was over",
                wanted,
                why,
                "return the box",
            )
        elif flow is None:
            yield Finding(
                f"disk {way}",
                "unclear",
                f"not measured: {speed.trouble or 'no answer'}",
                wanted,
                "",
                "name another folder with --disk",
            )
        elif flow.rate < floor:
            yield Finding(
                f"disk {way}",
                "bad",
                _rate(flow.rate),
                wanted,
                why,
                "return the box, or name a faster disk with --disk",
            )
        elif cached or (disk and disk.caching and way == "read"):
            yield Finding(
                f"disk {way}",
                "note",
                f"{_rate(flow.rate)}, but memory may have answered",
                wanted,
                "this file system lets nobody past its cache",
            )
        else:
            yield Finding(f"disk {way}", "good", _rate(flow.rate), wanted)


def line(examined: Examined, needs: Needs) -> Iterator[Finding]:
    """The fastest of the addresses sends fast enough for what must be fetched."""
    floor = max(SLOWEST_LINE, needs.fetch_bytes / LONGEST_FETCH)
    wanted = _rate(floor)
    if not examined.line_asked:
        yield Finding(
            "line",
            "note",
            "not measured: no address was named",
            wanted,
            "",
            "name a large file on the mirror that you use with --line-url",
        )
        return
    flows = [(speed, speed.flow) for speed in examined.lines if speed.flow]
    if not flows:
        troubles = {speed.trouble or "no answer" for speed in examined.lines} or {"the time was over"}
        no_program = any(speed.address == "" for speed in examined.lines)
        yield Finding(
            "line",
            "unclear" if no_program or not examined.lines else "bad",
            "; ".join(sorted(troubles)),
            wanted,
            "nobody can tell how fast it is" if no_program else "no mirror answers the box",
            "install curl there" if no_program else "check the addresses; if they are right, return the box",
        )
        return
    best, flow = max(flows, key=lambda entry: entry[1].rate)
    found = f"{_rate(flow.rate)} from {best.address}"
    if flow.rate >= floor:
        yield Finding("line", "good", found, wanted)
    elif flow.bytes < LEAST_FETCHED and _ended(flow):
        yield Finding(
            "line",
            "unclear",
            f"only {human_bytes(flow.bytes)} came from {best.address}",
            wanted,
            "so little says nothing about the line",
            "name a larger file with --line-url",
        )
    else:
        hours = needs.fetch_bytes / flow.rate / 3600
        yield Finding(
            "line",
            "bad",
            found,
            wanted,
            f"fetching {human_bytes(needs.fetch_bytes)} would take {hours:.1f} hours",
            "return the box, or use a faster mirror",
        )


def _ended(flow: Flow) -> bool:
    """A small file that was there at once: what is slow runs into the time limit instead."""
    return flow.seconds < 2


def _rate(rate: float) -> str:
    return f"{human_bytes(round(rate))}/s"
