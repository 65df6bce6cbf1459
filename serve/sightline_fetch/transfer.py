"""The transfer: connections that take spans of files, and for each file a keeper that hashes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sightline_fetch.answer import Addresses, Stream, ask
from sightline_fetch.errors import FetchError, SourceFailed, Stopped
from sightline_fetch.pace import RateLimit
from sightline_fetch.part import PIECE
from sightline_fetch.sources import Source
from sightline_fetch.spans import Job, Span, Tempo
from sightline_fetch.standing import NoSourceLeft, Standing, Standings
from sightline_fetch.target import Target
from sightline_fetch.wanted import Wanted, WantedFile
from sightline_fetch.wire import Terms, Wire

STALLED = 1024
"""Bytes a second below which a connection counts as broken."""
Tell = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard to work. `patience`: seconds that a slow connection or source is watched before it is left."""

    connections: int = 8
    per_file: int = 4
    tries: int = 12
    patience: float = 5.0
    rate_limit: float = 0.0
    terms: Terms = field(default_factory=Terms)


class Transfer:
    """Fetches `files` into `target`; `tell(event, **facts)` hears what happens."""

    def __init__(
        self,
        wanted: Wanted,
        files: list[WantedFile],
        standings: Standings,
        target: Target,
        settings: Settings,
        tell: Tell,
    ) -> None:
        self.jobs = [Job(file) for file in sorted(files, key=lambda file: -file.size)]
        self.stop = threading.Event()
        self.fatal: FetchError | None = None
        self._wanted, self._standings, self._target = wanted, standings, target
        self._settings, self._tell = settings, tell
        self._limit = RateLimit(settings.rate_limit)
        self._addresses = Addresses()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def run(self, tick: Callable[[], None]) -> None:
        """Fetch everything that can be had; `tick` is called about twice a second.

        A file that nobody can give is left in state "failed" with its problem. Raises FetchError: the disk
        refuses, or a defect; Stopped: `stop` was set. What has come by then stays for the next run.
        """
        for number in range(self._settings.connections):
            self._start(self._work, f"connection-{number}")
        try:
            while not self.stop.is_set() and any(job.state in ("waiting", "fetching") for job in self.jobs):
                self._standings.sample(self._settings.patience)
                tick()
                with self._changed:
                    self._changed.wait(0.25)
        finally:
            stopped = self.stop.is_set()
            self.stop.set()
            for job in self.jobs:
                if job.part is not None:
                    job.part.close()
            with self._changed:
                self._changed.notify_all()
            for thread in self._threads:
                thread.join()
            for job in self.jobs:
                if job.part is not None:
                    job.part.release()
            tick()
        if self.fatal:
            raise self.fatal
        if stopped:
            raise Stopped

    def _start(self, work: Callable[..., None], name: str, *words: Any) -> None:
        def guarded() -> None:
            try:
                work(*words)
            except Stopped:
                pass
            except FetchError as problem:
                self._end(problem)
            except Exception as problem:
                remedy = "run the same command again, and report this"
                self._end(FetchError(f"a defect in sightline-fetch: {problem!r}", remedy))

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _end(self, problem: FetchError) -> None:
        self.fatal = self.fatal or problem
        self.stop.set()

    def _work(self) -> None:
        wire, tempo = Wire(self._settings.terms), Tempo()
        try:
            while (taken := self._take(tempo)) is not None:
                job, span = taken
                try:
                    self._bring(wire, tempo, job, span)
                except NoSourceLeft as problem:
                    self._give_up(job, str(problem))
                finally:
                    with self._changed:
                        job.give_back(span)
                        self._changed.notify_all()
        finally:
            wire.close()

    def _take(self, tempo: Tempo) -> tuple[Job, Span] | None:
        """The next span to bring; waits while there may be one. None when all is over."""
        per_file = self._settings.per_file
        while not self.stop.is_set():
            with self._changed:
                going = [job for job in self.jobs if job.state == "fetching"]
                for job in going:
                    if span := job.claim(per_file, tempo.length):
                        return job, span
                opened = next((job for job in self.jobs if job.state == "waiting"), None)
                if opened is None:
                    for job in going:
                        if span := job.steal(per_file):
                            return job, span
                    if not going:
                        return None
                    self._changed.wait(0.25)
                else:
                    opened.state = "fetching"
            if opened is not None:
                self._open(opened)
        return None

    def _open(self, job: Job) -> None:
        part = self._target.part(job.file)
        if part.resumed:
            self._tell("resumed", file=job.file.path, bytes=part.resumed, size=job.file.size)
        with self._changed:
            job.part = part
            self._changed.notify_all()
        self._start(self._keep, f"keeper of {job.file.path}", job)

    def _keep(self, job: Job) -> None:
        """Hash the file while it comes; at its end put it in place, or begin again without who gave it."""
        while job.part is not None:
            right = job.part.keep()
            if right:
                self._target.put_in_place(job.part)
                job.state = "done"
                self._tell("file", file=job.file.path, size=job.file.size, sources=sorted(job.part.sources))
                break
            if self.stop.is_set() or job.state != "fetching":
                break
            job.part.release()
            kept = self._target.quarantine_part(job.part)
            names = set(job.part.sources)
            job.alone = self._standings.gave_wrong(job.file.path, names, job.alone)
            self._tell("quarantined", file=job.file.path, to=str(kept), sources=sorted(names))
            fresh = self._target.part(job.file)
            with self._changed:
                job.part = fresh
        with self._changed:
            self._changed.notify_all()

    def _give_up(self, job: Job, why: str) -> None:
        with self._changed:
            if job.state == "fetching":
                job.state, job.problem = "failed", why
                self._tell("failed", file=job.file.path, why=why)
            if job.part is not None:
                job.part.close()

    def _bring(self, wire: Wire, tempo: Tempo, job: Job, span: Span) -> None:
        """Bring a span, from one source after the other. Raises NoSourceLeft, FetchError, Stopped."""
        while not span.finished and job.state == "fetching":
            standing, wait = self._standings.choose(job.file.path, job.alone)
            if standing is None:
                if self.stop.wait(min(wait + 0.01, 1.0)):
                    raise Stopped
                continue
            since = time.monotonic()
            self._standings.using(standing, 1)
            try:
                if not self._pull(wire, tempo, job, span, standing):
                    return
            except SourceFailed as problem:
                self._standings.failed(standing, job.file.path, problem, since)
                self._tell("source", source=str(standing.source), file=job.file.path, problem=str(problem))
            finally:
                self._standings.using(standing, -1)

    def _pull(self, wire: Wire, tempo: Tempo, job: Job, span: Span, standing: Standing) -> bool:
        """Ask `standing` for the rest of a span. Returns False when the span is left to somebody else."""
        source: Source = standing.source
        first, end = (span.next, span.end) if standing.ranged else (0, job.file.size)
        streaming = not standing.ranged
        if streaming and not self._alone_with(job):
            return False
        try:
            asked = time.monotonic()
            stream, ranged = ask(wire, self._addresses, source, self._wanted, job.file, first, end)
            answered = time.monotonic()
            try:
                if not streaming:
                    if ranged:
                        self._receive(job, [span], first, stream, standing)
                        tempo.seen(answered - asked, span.next - first, time.monotonic() - answered)
                    else:  # it would come from the start on: not before no other source has ranges
                        standing.ranged = False
                    return True
                assert job.part is not None
                self._receive(job, [Span(*run) for run in job.part.missing()], 0, stream, standing)
                return False
            finally:
                stream.close()
        finally:
            if streaming:
                job.streaming = False

    def _alone_with(self, job: Job) -> bool:
        """Keep the other connections from the job, once those at work on it have ended."""
        with self._changed:
            if job.streaming:
                self._changed.wait(0.1)
                return False
            job.streaming = True
            while len(job.active) > 1 and not self.stop.is_set():
                self._changed.wait(0.1)
            return True

    def _receive(self, job: Job, spans: list[Span], offset: int, stream: Stream, standing: Standing) -> None:
        """Read a stream that begins at byte `offset` of the file until `spans` are finished."""
        part, name = job.part, str(standing.source)
        assert part is not None
        part.sources.add(name)
        began, got = time.monotonic(), 0
        for span in spans:
            while not span.finished:
                if self.stop.is_set():
                    raise Stopped
                if job.state != "fetching":
                    return
                data = stream.read(PIECE - offset % PIECE)
                if not data:
                    raise SourceFailed(f"broke off at byte {offset:,} of {job.file.size:,}")
                self._limit.pass_through(len(data), self.stop)
                skip = max(0, span.next - offset)
                offset += len(data)
                span.feed(part, data[skip:] if skip else data, name)
                self._standings.progressed(standing, len(data))
                got += len(data)
                now = time.monotonic()
                if now - began >= self._settings.patience:
                    if got < STALLED * (now - began):
                        raise SourceFailed(f"stalls: {got:,} bytes in {now - began:.0f} s")
                    if standing.ranged and self._standings.crawls(standing, job.file.path):
                        raise SourceFailed(
                            f"crawls at {standing.sampled or 0:,.0f} bytes a second", slow=True
                        )
                    began, got = now, 0
