"""What a rule finds, and the verdict that all findings come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sightline.accept.box import Box
from sightline.accept.clock import Skew
from sightline.accept.disks import Disk
from sightline.accept.needs import Needs
from sightline.accept.speeds import DiskSpeed, LineSpeed

Outcome = Literal["good", "note", "unclear", "bad"]
Word = Literal["accept", "return", "could not tell"]

EXIT_CODES: dict[Word, int] = {"accept": 0, "return": 1, "could not tell": 2}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `bad` sends the box back, `unclear` keeps the verdict open.

    `wanted` is the measure it was held against; `why` and `remedy` are empty where all is good.
    """

    subject: str
    outcome: Outcome
    found: str
    wanted: str = ""
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Examined:
    """All that is known of a box. `disk` is the data disk; what was not measured is None or empty.

    `line_asked`: addresses were given to measure the line with.
    """

    box: Box
    skew: Skew | None
    disk: Disk | None
    disk_speed: DiskSpeed | None
    lines: tuple[LineSpeed, ...]
    line_asked: bool = False


Rule = Callable[[Examined, Needs], Iterator[Finding]]


def judge(examined: Examined, needs: Needs, rules: Sequence[Rule]) -> tuple[Finding, ...]:
    """What all rules find, in their order."""
    return tuple(finding for rule in rules for finding in rule(examined, needs))


def verdict(findings: Sequence[Finding]) -> Word:
    """One bad finding sends the box back; else one that is unclear keeps it open."""
    outcomes = {finding.outcome for finding in findings}
    if "bad" in outcomes:
        return "return"
    return "could not tell" if "unclear" in outcomes else "accept"
