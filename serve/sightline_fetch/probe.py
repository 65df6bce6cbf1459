"""Before a transfer: what each source can do, seen on a small piece of the largest file."""

from __future__ import annotations

import threading
import time

from sightline_fetch.answer import Addresses, ask
from sightline_fetch.errors import SourceFailed
from sightline_fetch.standing import Standing, Standings
from sightline_fetch.wanted import Wanted, WantedFile
from sightline_fetch.wire import Terms, Wire

SAMPLE = 1 << 20
LONGEST = 3.0
LOCAL_RATE = 1e12
"""A directory is not measured: it is faster than any network, and its disk is the same for all."""


def probe(standings: Standings, wanted: Wanted, file: WantedFile, terms: Terms) -> None:
    """Ask all sources at once for the first bytes of `file`; notes commit, size, ranges and speed.

    Those that are the last resort are not asked: most often nobody needs them.
    Takes LONGEST seconds after the answer at most; a source that fails is noted as failed.
    """
    for standing in standings.all:
        if standing.source.local:
            standings.measured(standing, LOCAL_RATE)
    asked = [one for one in standings.all if not one.source.local and not one.source.last]
    threads = [
        threading.Thread(target=_probe, args=(standings, standing, wanted, file, terms), daemon=True)
        for standing in asked
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 2 * terms.timeout + LONGEST
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _probe(standings: Standings, standing: Standing, wanted: Wanted, file: WantedFile, terms: Terms) -> None:
    wire = Wire(terms)
    since = time.monotonic()
    try:
        # Never the whole file: an answer to a range tells whether the source knows ranges.
        end = min(SAMPLE, max(1, file.size - 1))
        stream, ranged = ask(wire, Addresses(), standing.source, wanted, file, 0, end)
        standing.ranged = ranged or end == file.size
        began, got = time.monotonic(), 0
        while got < end and time.monotonic() - began < LONGEST and (data := stream.read(SAMPLE)):
            got += len(data)
        stream.close()
        standings.measured(standing, got / max(1e-6, time.monotonic() - began))
    except SourceFailed as problem:
        standings.failed(standing, file.path, problem, since)
    finally:
        wire.close()
