"""The box's clock against ours, with the round trip taken into account."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.accept.sections import Said, parse
from sightline.accept.talk import exchange, new_mark


@dataclass(frozen=True)
class Skew:
    """Seconds by which the box's clock is ahead of ours, and how much that may be wrong either way."""

    seconds: float
    uncertain: float


def measure(connection: Any, now: Callable[[], float] = time.time, limit: int = 10) -> Skew | None:
    """Ask the box for its time; `now` is our own clock. None where its answer is no time."""
    mark = new_mark()
    text = (Path(__file__).parent / "box/clock.sh").read_text()
    before = now()
    output, _ = exchange(connection, f"{{\nMARK={mark}\n{text}exit\n}}\n", limit)
    return skew(parse(output, mark), before, now())


def skew(said: Said, before: float, after: float) -> Skew | None:
    """From the box's answer, and our time before asking and after hearing.

    The box looked at its clock at some moment between the two (Cristian 1989: the middle is the best guess,
    and half the round trip bounds the error). A clock told in whole seconds may be up to one second further.
    """
    found = re.match(r"(\d{1,12})(\.\d+)?", said.text("clock").strip())
    if not found:
        return None
    earliest = float(found[0])
    latest = earliest if found[2] else earliest + 1
    low, high = earliest - after, latest - before
    return Skew((low + high) / 2, (high - low) / 2)
