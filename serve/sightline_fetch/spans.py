"""How one file's missing bytes are shared out among its connections."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator

from sightline_fetch.part import PIECE, Part
from sightline_fetch.wanted import WantedFile

SHORTEST, USUAL, LONGEST = 4 << 20, 16 << 20, 256 << 20
"""Bytes asked for at once: at the begin and the end of a file, on a near link, at most."""
WAITS = 20
"""How many times as long as the wait for its answer a span is to take."""
WORTH_SPLITTING = 4 << 20
LAG = 3.0
"""Seconds that a span must have to go before half of it is given away: what is in flight then is lost."""


class Tempo:
    """What one connection's requests are like: which length of a span is worth the wait for its answer.

    On a near link that is short: the file comes nearly in order, so that its hash follows closely.
    """

    def __init__(self) -> None:
        self.length = 0  # bytes; 0: not known yet

    def seen(self, waited: float, came: int, seconds: float) -> None:
        """An answer began after `waited` seconds, and gave `came` bytes in the next `seconds`."""
        if came >= PIECE:
            wish = WAITS * waited * came / max(1e-3, seconds)
            self.length = max(USUAL, min(LONGEST, int(wish) // PIECE * PIECE))


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

    def claim(self, connections: int, length: int = 0) -> Span | None:
        """A span that nobody brings yet, None when all is shared out or `connections` are at work.

        `length`: the bytes that the connection wishes for, 0 for one that knows nothing yet. Those begin with
        different lengths, so that they do not all wait for their next answer at the same moment. Towards
        the end the spans become shorter: then all of them end together, and the hash has little left to do.
        """
        if self.part is None or self.streaming or len(self.active) >= connections:
            return None
        runs = list(self._unclaimed(self.part))
        if not runs:
            return None
        length = length or SHORTEST * (1 + len(self.active))
        share = sum(end - first for first, end in runs) // (2 * connections) // PIECE * PIECE
        length = min(length, max(SHORTEST, length // 5 // PIECE * PIECE, share))
        first, end = runs[0]
        span = Span(first, min(end, first + length))
        self.active.append(span)
        return span

    def _unclaimed(self, part: Part) -> Iterator[tuple[int, int]]:
        """The runs of bytes that are missing and in no span, in order."""
        taken = sorted((span.next - span.next % PIECE, span.end) for span in self.active)
        for first, end in part.missing():
            for low, high in taken:
                if first < low < end:
                    yield first, low
                if low < end and high > first:
                    first = max(first, high)
            if first < end:
                yield first, end

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
