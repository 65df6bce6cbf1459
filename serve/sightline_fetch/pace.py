"""How fast, and when again: a rate limit that all connections share, and the wait after a failure."""

from __future__ import annotations

import random
import threading
import time

_LONGEST = 60.0


class RateLimit:
    """Lets `rate` bytes a second pass in all; 0: no limit."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    def pass_through(self, size: int, stop: threading.Event) -> None:
        """Wait until `size` bytes may count as received, or until `stop`."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            wait = self._free_at - now
            self._free_at = max(self._free_at, now) + size / self._rate
        if wait > 0:
            stop.wait(wait)


def backoff(failures: int, retry_after: float = 0.0) -> float:
    """Seconds until the next try after `failures` in a row: doubling from a quarter of a second, with jitter.

    Never less than the source asked for (Retry-After, RFC 9110, 10.2.3), and up to a tenth more, so that many
    hosts that were sent away together do not come back together.
    """
    if retry_after:
        return retry_after * random.uniform(1.0, 1.1)
    return min(_LONGEST, 0.125 * 2.0**failures) * random.uniform(0.5, 1.0)
