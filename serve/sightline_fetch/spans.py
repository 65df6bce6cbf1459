"""How one file's missing bytes are shared out among its connections."""

from __future__ import annotations

import threading
import time
import zlib

from sightline_fetch.part import PIECE, Part
from sightline_fetch.wanted import WantedFile

SHORTEST, LONGEST = 4 << 20, 64 << 20
"""Bytes asked for at once: enough that a round trip more matters little."""
WORTH_SPLITTING = 4 << 20
LAG = 3.0
"""Seconds that a span must have to go before half of it is given away: what is in flight then is lost."""


class Span:
    """A run of bytes that one connection brings; begins at a piece. `end` may come nearer meanwhile."""

    def __init__(self, first: int, end: int) -> None:
        self.next = first
        self.end = end
        self._first, self._began = first, time.monotonic()
        self._crc = 0
        self._lock = threading.Lock()  # no byte is ever written by two connections

    @property
    def finished(self) -> bool:
        return self.next >= self.end

    def feed(self, part: Part, data: bytes, source: str) -> int:
        """Put what has come in its place, and each whole piece in the journal; returns bytes taken."""
        with self._lock:
            view = memoryview(data)[: max(0, self.end - self.next)]
            taken = len(view)
            while view:
                piece = self.next // PIECE
                room = min((piece + 1) * PIECE, part.file.size) - self.next
                cut = view[:room]
                part.write(self.next, cut)
                self._crc = zlib.crc32(cut, self._crc)
                if len(cut) == room:
                    part.piece_is_there(piece, self._crc, source)
                    self._crc = 0
                # Only now: a piece that is neither there nor in a span would be given to somebody else.
                self.next += len(cut)
                view = view[room:]
        return taken

    def split(self) -> Span | None:
        """Give the later half away; None where that is not worth a request."""
        with self._lock:
            middle = (self.next + self.end) // 2 // PIECE * PIECE
            spent, came, left = time.monotonic() - self._began, self.next - self._first, self.end - self.next
            if left < WORTH_SPLITTING or spent < 1.0 or left * spent < LAG * came:
                return None
            later = Span(middle, self.end)
            self.end = middle
            return later


class Job:
    """One file under way. The transfer's lock guards `claim`, `steal` and `give_back`."""

    def __init__(self, file: WantedFile) -> None:
        self.file = file
        self.part: Part | None = None
        self.active: list[Span] = []
        self.streaming = False  # a source without ranges brings all of it, on one connection
        self.alone = ""
        self.state = "waiting"  # waiting, fetching, done, failed
        self.problem = ""

    @property
    def received(self) -> int:
        """Bytes that are there, those in pieces not yet whole included."""
        if self.state == "done":
            return self.file.size
        if self.part is None:
            return 0
        return min(self.file.size, self.part.there + sum(span.next % PIECE for span in list(self.active)))

    def claim(self, connections: int) -> Span | None:
        """A span that nobody brings yet, None when all is shared out or `connections` are at work."""
        if self.part is None or self.streaming or len(self.active) >= connections:
            return None
        taken = sorted((span.next - span.next % PIECE, span.end) for span in self.active)
        for first, end in self.part.missing():
            for low, high in taken:
                if first < low < end:
                    end = low
                    break
                if low <= first < high:
                    first = high
            if first < end:
                length = max(SHORTEST, min(LONGEST, self.file.size // (2 * connections) // PIECE * PIECE))
                span = Span(first, min(end, first + length))
                self.active.append(span)
                return span
        return None

    def steal(self, connections: int) -> Span | None:
        """The later half of the span with the most to come, None when none is worth splitting."""
        if self.part is None or self.streaming or len(self.active) >= connections or not self.active:
            return None
        longest = max(self.active, key=lambda span: span.end - span.next)
        span = longest.split()
        if span:
            self.active.append(span)
        return span

    def give_back(self, span: Span) -> None:
        """The span is finished, or somebody else will bring the rest of it."""
        if span in self.active:
            self.active.remove(span)
