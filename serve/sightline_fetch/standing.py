"""What is known of each source while a fetch runs, and which one to ask next."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from sightline_fetch.errors import SourceFailed
from sightline_fetch.pace import backoff
from sightline_fetch.sources import Source

MUCH_BETTER = 4.0
"""A source is left for another one that was seen to be this many times as fast."""
ENOUGH = 64 << 10
"""Bytes between two failures after which the count of failures begins anew: such a source gets there."""
LONGEST_WAIT = 300.0
"""Seconds of Retry-After that are waited for; a source that asks for more is given up."""


@dataclass(slots=True)
class Standing:
    """One source's record. `rate`: bytes a second, None before it was measured; `sampled`: in this fetch."""

    source: Source
    rate: float | None = None
    ranged: bool = True
    failures: int = 0
    failed_at: float = 0.0
    not_before: float = 0.0
    dead: str = ""
    said: str = ""  # the last failure
    lacking: dict[str, str] = field(default_factory=dict)
    received: int = 0
    since_failure: int = 0
    active: int = 0
    sampled: float | None = None
    sample_from: float | None = None
    sample_received: int = 0


class NoSourceLeft(Exception):
    """No source can give this file any more; says why each cannot."""


class Standings:
    """The sources in the user's order; shared by all threads."""

    def __init__(self, sources: list[Source], tries: int) -> None:
        self.all = [Standing(source) for source in sources]
        self._tries = tries
        self._lock = threading.Lock()

    def choose(self, path: str, alone: str = "") -> tuple[Standing | None, float]:
        """The source to ask for `path`, or None and the seconds until one may be asked again.

        The first in the user's order that is at least half as fast as the fastest. One that answers ranges
        goes before one that does not, and those that are the last resort come after all. `alone` names one to
        be asked and no other, while it can be. Raises NoSourceLeft.
        """
        with self._lock:
            able = [s for s in self.all if not s.dead and path not in s.lacking]
            if not able:
                said = "; ".join(f"{s.source}: {s.dead or s.lacking[path]}" for s in self.all)
                raise NoSourceLeft(said)
            able = [s for s in able if str(s.source) == alone] or able
            able = [s for s in able if not s.source.last] or able
            now = time.monotonic()
            free = [s for s in able if s.not_before <= now]
            if not free:
                return None, min(s.not_before for s in able) - now
            free = [s for s in free if s.ranged] or free
            best = max((s.rate or 0.0) for s in free)
            return next(s for s in free if s.rate is None or s.rate * 2 >= best), 0.0

    def crawls(self, standing: Standing, path: str) -> bool:
        """Whether `standing` is to be left: another source that gives `path` was seen to be much faster."""
        with self._lock:
            if standing.sampled is None:
                return False
            now = time.monotonic()
            return any(
                s is not standing
                and s.source.last <= standing.source.last
                and not s.dead
                and path not in s.lacking
                and s.not_before <= now
                and s.ranged
                and s.rate is not None
                and s.rate > MUCH_BETTER * standing.sampled
                for s in self.all
            )

    def measured(self, standing: Standing, rate: float) -> None:
        """Note what the source was seen to give before the fetch began, in bytes a second."""
        with self._lock:
            standing.rate = rate

    def sample(self, window: float) -> None:
        """Measure the sources that are in use; called about twice a second.

        A figure covers all connections of a source, over at least `window` seconds in which it was asked: one
        connection of eight says nothing about a link that they share.
        """
        with self._lock:
            now = time.monotonic()
            for standing in self.all:
                if not standing.active:
                    standing.sample_from = None
                elif standing.sample_from is None:
                    standing.sample_from, standing.sample_received = now, standing.received
                elif now - standing.sample_from >= window:
                    got = standing.received - standing.sample_received
                    standing.sampled = standing.rate = got / (now - standing.sample_from)
                    standing.sample_from, standing.sample_received = now, standing.received

    def using(self, standing: Standing, change: int) -> None:
        """Note a connection that begins (1) or ends (-1)."""
        with self._lock:
            standing.active += change

    def progressed(self, standing: Standing, size: int) -> None:
        """Note bytes that arrived: a source that gives some is not given up."""
        with self._lock:
            standing.received += size
            standing.since_failure += size
            if standing.since_failure >= ENOUGH:
                standing.failures = 0

    def failed(self, standing: Standing, path: str, problem: SourceFailed, since: float) -> None:
        """Note a failure of a request sent at `since`; several that fell together count as one."""
        with self._lock:
            standing.said = str(problem)
            if problem.slow:
                return
            if problem.everywhere:
                standing.dead = standing.dead or str(problem)
            elif problem.final:
                standing.lacking.setdefault(path, str(problem))
            elif problem.retry_after > LONGEST_WAIT:
                standing.dead = f"{problem}, and wants {problem.retry_after:.0f} s of rest"
            else:
                now = time.monotonic()
                if standing.failed_at <= since:
                    standing.failures += 1
                    standing.since_failure = 0
                    standing.failed_at = now
                wait = backoff(standing.failures, problem.retry_after)
                standing.not_before = max(standing.not_before, now + wait)
                if standing.failures >= self._tries:
                    standing.dead = f"{problem} ({standing.failures} times in a row)"

    def gave_wrong(self, path: str, names: set[str], alone: str) -> str:
        """`path` came to the wrong hash from the sources in `names`: returns which to ask alone from now on.

        One source that gave all of it is asked no more for it. Of several nobody knows which one lied: each
        is then asked alone, in the user's order.
        """
        with self._lock:
            suspects = [s for s in self.all if str(s.source) in names]
            if len(suspects) == 1:
                suspects[0].lacking.setdefault(path, "gives other bytes than the hash wants")
            if len(suspects) > 1 or alone:
                able = [s for s in self.all if not s.dead and path not in s.lacking]
                return str(able[0].source) if able else ""
            return ""
