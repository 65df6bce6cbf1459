"""How many requests are in the house at once, altogether and for each key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sightline_serve import errors
from sightline_serve.auth import Key


class Places:
    """Counted from the door to the last byte of the answer: whoever uploads, fetches pictures, waits for the
    model, or reads slowly takes a place. Used from the event loop only.
    """

    def __init__(self, total: int, per_key: int | None = None) -> None:
        self.total = total
        self.per_key = per_key
        self.taken: Counter[str] = Counter()

    @contextmanager
    def one(self, key: Key | None) -> Iterator[None]:
        """A place for one request. Raises a 429 ApiError if there is none."""
        name = key.name if key else ""
        if self.per_key is not None and key is not None and self.taken[name] >= self.per_key:
            raise errors.key_busy(self.per_key)
        if (inside := self.taken.total()) >= self.total:
            raise errors.queue_full(inside)
        self.taken[name] += 1
        try:
            yield
        finally:
            self.taken[name] -= 1
            if not self.taken[name]:
                del self.taken[name]
