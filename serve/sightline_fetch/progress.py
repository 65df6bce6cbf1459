"""What a fetch says while it runs: bars on a terminal, lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections import deque
from typing import Any, TextIO

from sightline_fetch.spans import Job

_RATE_OVER = 10.0
_BARS = 8


class Progress:
    """Events and rates to `out`. `style`: bars, lines, json or quiet."""

    def __init__(self, style: str, total: int, before: int, out: TextIO = sys.stderr) -> None:
        """`total` bytes in all, of which `before` were there already."""
        self._style, self._total, self._before, self._out = style, total, before, out
        self._seen: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()
        self._shown_at = 0.0
        self._drawn = 0

    def tell(self, event: str, **facts: Any) -> None:
        """One thing that happened."""
        with self._lock:
            if event == "resumed":  # these bytes did not come just now: they are no part of the rate
                self._seen = deque((at, done + facts["bytes"]) for at, done in self._seen)
            if self._style == "json":
                self._write(json.dumps({"event": event, **facts}) + "\n")
            elif self._style != "quiet":
                self._clear()
                self._write(sentence(event, facts) + "\n")

    def tick(self, jobs: list[Job]) -> None:
        """Show how far it has come; as often as the style bears."""
        now = time.monotonic()
        every = {"bars": 0.2, "json": 1.0, "lines": 10.0}.get(self._style)
        done = self._before + sum(job.received for job in jobs)
        with self._lock:
            self._seen.append((now, done))
            while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_OVER:
                self._seen.popleft()
            if every is None or now - self._shown_at < every:
                return
            self._shown_at = now
            rate = self._rate()
            left = (self._total - done) / rate if rate > 0 else None
            if self._style == "json":
                files = {job.file.path: job.received for job in jobs if job.state == "fetching"}
                facts = {"done": done, "total": self._total, "rate": round(rate), "files": files}
                seconds = None if left is None else round(left)
                self._write(json.dumps({"event": "progress", **facts, "seconds_left": seconds}) + "\n")
                return
            line = how_far(done, self._total, rate, left)
            if self._style == "lines":
                self._write(line + "\n")
                return
            self._clear()
            going = [job for job in jobs if job.state == "fetching"][:_BARS]
            width = shutil.get_terminal_size().columns
            lines = [_bar(job.file.path, job.received, job.file.size, width) for job in going]
            lines.append(_bar("in all", done, self._total, width, line))
            self._write("".join(text[: width - 1] + "\n" for text in lines))
            self._drawn = len(lines)

    def _rate(self) -> float:
        (first_at, first), (last_at, last) = self._seen[0], self._seen[-1]
        return max(0.0, (last - first) / (last_at - first_at)) if last_at > first_at else 0.0

    def _clear(self) -> None:
        if self._drawn:
            self._write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _bar(name: str, done: int, total: int, width: int, after: str = "") -> str:
    share = done / total if total else 1.0
    length = 20 if width > 70 else 8
    full = int(share * length)
    name = name if len(name) <= 28 else "..." + name[-25:]
    after = after or f"{amount(done)} of {amount(total)}"
    return f"{name:28} [{'#' * full}{' ' * (length - full)}] {share:4.0%}  {after}"


def sentence(event: str, facts: dict[str, Any]) -> str:
    """What an event says to people; the controller of a fetch on another host says it so too."""
    file = facts.get("file", "")
    if event == "plan":
        return (
            f"{facts['repo']} {facts['commit'][:12]}: {facts['files']} files, {amount(facts['bytes'])}, "
            f"{amount(facts['to_fetch'])} to fetch; sizes and hashes from {facts['hashes_from']}"
        )
    if event == "resumed":
        return f"{file}: goes on from {amount(facts['bytes'])} of {amount(facts['size'])}"
    if event == "file":
        return f"{file}: whole and verified, {amount(facts['size'])}"
    if event == "source":
        return f"{file}: {facts['source']}: {facts['problem']}; tries again or elsewhere"
    if event == "quarantined":
        return f"{file}: not the wanted bytes; set aside as {facts['to']}"
    if event == "failed":
        return f"{file}: no source can give it: {facts['why']}"
    if event == "probed":
        rate = facts.get("rate")
        said = facts.get("problem") or ("here" if facts["local"] else f"{amount(rate or 0)}/s")
        return f"{facts['source']}: {said}" + ("" if facts["ranged"] else ", without ranges")
    if event == "checking":
        return f"{file}: lies there already; its hash is checked"
    if event == "linked":
        return f"{file}: the same as {facts['to']}, linked, {amount(facts['size'])}"
    if event == "whole":
        return (
            f"{facts['target']}: all {facts['files']} files are whole and verified, {amount(facts['bytes'])}"
        )
    return f"{event}: {facts}" if facts else event


def how_far(done: int, total: int, rate: float, left: float | None) -> str:
    """Bytes, bytes a second and seconds left (None: not known) as a line."""
    return f"{amount(done)} of {amount(total)}, {amount(rate)}/s, {clock(left)} left"


def amount(size: float) -> str:
    """Bytes for people: 4.95 GB (powers of ten)."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.3g} {unit}" if size < 1000 * one else f"{size / one:,.0f} {unit}"
    return f"{size:.0f} B"


def clock(seconds: float | None) -> str:
    """Seconds for people: 1:02:03."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
