"""One look at a box: facts, clock, disk and line over one connection, within two minutes and two GiB."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.accept import card_rules, clock, machine_rules, measured_rules
from sightline.accept.box import Box, read_box
from sightline.accept.disks import Disk, choose
from sightline.accept.errors import NoAnswer
from sightline.accept.findings import Examined, Rule
from sightline.accept.sections import Said
from sightline.accept.speeds import DiskSpeed, LineSpeed, disk_speed, line_speeds
from sightline.accept.talk import GRACE, ask

MOST_SECONDS = 120
MOST_BYTES = 2 * 2**30
"""What a look may take in all; the parts below stay under it by their own limits."""

FACTS_SECONDS, DISK_SECONDS, LINE_SECONDS = 35, 35, 30
"""nvidia-smi takes some seconds on a machine of eight cards without persistence."""

PIECE = 16
DISK_BYTES = 512 * 2**20
"""Written once and read once, in pieces of PIECE MiB; a quarter of what is free at most."""

LINE_BYTES = 768 * 2**20
"""Fetched at most, from all addresses together."""

RULES: tuple[Rule, ...] = (
    machine_rules.gpus,
    machine_rules.driver,
    machine_rules.kernels,
    card_rules.memory_errors,
    card_rules.slowdown,
    card_rules.bus,
    card_rules.links,
    card_rules.others,
    machine_rules.memory,
    measured_rules.room,
    measured_rules.disk_speed,
    measured_rules.line,
    machine_rules.clock,
    machine_rules.architecture,
    machine_rules.told,
)


@dataclass(frozen=True)
class Wishes:
    """What to look at. `disk` is the folder of the data, None: chosen here; `addresses` are for the line."""

    disk: str | None = None
    addresses: tuple[str, ...] = ()
    measure_disk: bool = True


def examine(
    connection: Any, wishes: Wishes, say: Callable[[str], None], now: Callable[[], float] = time.time
) -> Examined:
    """Look at the box behind an open connection. `say` is told what happens; `now` is our own clock.

    Raises NoAnswer when the box does not answer, or when the folder that was named is not there.
    """
    deadline = time.monotonic() + MOST_SECONDS
    say("reading what the box is")
    skew = clock.measure(connection, now)
    said = ask(connection, "facts", _left(deadline, FACTS_SECONDS), settings={"DISK": wishes.disk or ""})
    box = read_box(said)
    disk = choose(box.disks, wishes.disk)
    if wishes.disk and (disk is None or not disk.writable):
        raise NoAnswer(
            f"{wishes.disk} is not there, or {box.user} cannot write to it", "name another folder with --disk"
        )
    speed = _disk(connection, box, disk, deadline, say) if wishes.measure_disk else None
    lines = _lines(connection, disk, wishes.addresses, deadline, say)
    return Examined(box, skew, disk, speed, lines, bool(wishes.addresses))


def _disk(
    connection: Any, box: Box, disk: Disk | None, deadline: float, say: Callable[[str], None]
) -> DiskSpeed | None:
    pieces = min(DISK_BYTES, disk.free_bytes // 4) // (PIECE * 2**20) if disk else 0
    if disk is None or pieces < 2:
        return None
    say(f"writing and reading {pieces * PIECE} MiB on {disk.path}")
    seconds = _left(deadline, DISK_SECONDS)
    settings = {"PIECE": PIECE, "PIECES": pieces, "SECONDS_EACH": max(1, seconds // 3)}
    said = ask(connection, "disk", seconds, disk.path, settings)
    speed = disk_speed(said)
    _within(said, sum(flow.bytes for flow in (speed.write, speed.read) if flow))
    return speed


def _lines(
    connection: Any, disk: Disk | None, addresses: Sequence[str], deadline: float, say: Callable[[str], None]
) -> tuple[LineSpeed, ...]:
    if not addresses or disk is None:
        return ()
    say(f"fetching from {', '.join(addresses)}")
    seconds = _left(deadline, LINE_SECONDS)
    settings = {
        "BYTES": LINE_BYTES // len(addresses),
        "SECONDS_EACH": max(1, (seconds - GRACE) // len(addresses) - 1),
    }
    said = ask(connection, "line", seconds, disk.path, settings, addresses)
    speeds = line_speeds(said)
    _within(said, sum(speed.flow.bytes for speed in speeds if speed.flow))
    return speeds


def _left(deadline: float, wanted: int) -> int:
    """Whole seconds that a part may take, so that all parts together stay within the two minutes."""
    left = int(deadline - time.monotonic()) - GRACE
    if left < 1:
        raise NoAnswer(f"the box took {MOST_SECONDS} s to answer", "it is very slow, or the line to it is")
    return min(wanted, left)


def _within(said: Said, moved: int) -> None:
    """The box keeps to what it was told; one that says otherwise is not believed."""
    if moved > MOST_BYTES // 2:
        raise NoAnswer(
            f"the box says that it moved {moved} bytes, more than it was told to", "look at it yourself"
        )
