"""The host's clock against the controller's."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.outcome import Objection
from sightline.plan.reading import read_or_none
from sightline.plan.situation import Situation

MOST_SECONDS = 600
"""More than a probe and a plan of a large fleet take, less than what certificates and package lists mind."""


def clock_is_right(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """The host's time is about the controller's, where anything will be changed.

    Without the controller's time (`now` in the settings, epoch seconds) or the host's there is no telling.
    """
    host = read_or_none(there.facts, "clock.epoch", int)
    controller = read_or_none(there.settings, "now", int)
    if not changing or host is None or controller is None:
        return
    ahead = host - controller
    if abs(ahead) > MOST_SECONDS:
        yield Objection(
            f"the host's clock is {_span(abs(ahead))} {'ahead' if ahead > 0 else 'behind'}",
            "certificates and signed package lists seem expired or not valid yet, so pip and apt fail",
            "set it (timedatectl set-ntp true; a container has its machine's), or mend the controller's",
        )


def _span(seconds: int) -> str:
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds // 60} minutes"
