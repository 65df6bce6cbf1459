"""Which replicas are asked: those that named the colours of pictures drawn for them a moment ago."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sightline_gateway.sight import Round, Sight

log = logging.getLogger(__name__)

BLIND_ROUNDS = 2
"""Failed rounds in a row that take a replica out: a model that sees may misname a colour once."""

BUSY_ROUNDS = 3
"""Rounds in a row without an answer in time: by then it is not busy, it hangs."""


@dataclass
class Standing:
    """A replica's place. `misses`: failed rounds in a row, `hits` good ones since it was found blind."""

    name: str
    serving: bool = False
    said: str = "not asked yet"
    since: float = 0.0
    misses: int = 0
    busy: int = 0
    wanted_hits: int = 1

    @property
    def doubtful(self) -> bool:
        """Whether it should be asked again at once, not after the usual pause."""
        return self.misses > 0 and self.serving


class Rotation:
    """The standings of all replicas, by name."""

    def __init__(self, names: Iterable[str], clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.standings = {name: Standing(name, since=clock()) for name in names}

    def serving(self) -> set[str]:
        return {name for name, standing in self.standings.items() if standing.serving}

    def consider(self, name: str, found: Round) -> None:
        """Take a round of questions into account."""
        standing = self.standings[name]
        standing.said = found.said
        standing.busy = standing.busy + 1 if found.sight is Sight.BUSY else 0
        if found.sight is Sight.SEES:
            standing.misses = 0
            standing.wanted_hits -= 1
            if not standing.serving and standing.wanted_hits <= 0:
                self._turn(standing, True)
        elif found.sight is Sight.BLIND:
            standing.misses += 1
            standing.wanted_hits = BLIND_ROUNDS
            if standing.misses >= BLIND_ROUNDS:
                self._turn(standing, False)
        elif found.sight is Sight.AWAY or standing.busy >= BUSY_ROUNDS:
            standing.wanted_hits = max(1, standing.wanted_hits)
            self._turn(standing, False)

    def lost(self, name: str, said: str) -> None:
        """A client's request found nobody there: out at once, until the next round."""
        standing = self.standings.get(name)
        if standing and standing.serving:
            standing.said = said
            standing.wanted_hits = 1
            self._turn(standing, False)

    def told(self) -> dict[str, object]:
        """For people and programs: who serves, and what each said last."""
        replicas = {
            standing.name: {
                "serving": standing.serving,
                "said": standing.said,
                "seconds": round(self._clock() - standing.since, 1),
            }
            for standing in self.standings.values()
        }
        return {"ready": bool(self.serving()), "replicas": replicas}

    def reasons(self) -> str:
        """Why nobody serves."""
        return "; ".join(f"{standing.name}: {standing.said}" for standing in self.standings.values())

    def _turn(self, standing: Standing, serving: bool) -> None:
        if standing.serving != serving:
            standing.serving, standing.since = serving, self._clock()
            log.warning("%s is %s: %s", standing.name, "in" if serving else "out", standing.said)
