"""Whether packages can be installed just now. No step installs any yet; those that will ask here."""

from __future__ import annotations

from collections.abc import Iterator

from sightline.plan.outcome import Objection
from sightline.plan.reading import read, read_or_none
from sightline.plan.situation import Situation


def apt_is_free(there: Situation, changing: set[str]) -> Iterator[Objection]:
    """Nobody else is installing packages.

    Raises:
        Unreadable: the facts don't say whether the lock is held.
    """
    if read(there.facts, "packages.lock.held", bool):
        holder = read_or_none(there.facts, "packages.lock.holder", str) or "another program"
        yield Objection(
            f"{holder} holds the lock of apt",
            "two programs cannot install packages at once",
            "wait until it has ended (after a start it is often unattended-upgrades), then run this again",
        )
