"""Ask one source for bytes of one file, and refuse an answer that cannot be that file."""

from __future__ import annotations

import os
import re
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPMessage
from pathlib import Path
from typing import Protocol

from sightline_fetch.errors import SourceFailed
from sightline_fetch.sources import Source
from sightline_fetch.wanted import Wanted, WantedFile
from sightline_fetch.wire import READ, Body, Wire

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Stream(Protocol):
    """Bytes of a file, in order."""

    def read(self, most: int = READ) -> bytes:
        """What has come, `most` bytes of it at most, b"" at the end. Raises SourceFailed."""

    def close(self) -> None:
        """Give back what it holds."""


class OpenFile:
    """A stream from a directory source."""

    def __init__(self, source: Source, file: WantedFile, first: int) -> None:
        """Raises SourceFailed: there is no such file, or of another size."""
        try:
            self._file = open(Path(source.place) / file.path, "rb", buffering=0)  # noqa: SIM115
        except OSError as problem:
            raise SourceFailed(problem.strerror or str(problem), final=True) from problem
        size = os.fstat(self._file.fileno()).st_size
        if size != file.size:
            self._file.close()
            raise SourceFailed(f"has {size:,} bytes, not {file.size:,}", final=True)
        self._file.seek(first)

    def read(self, most: int = READ) -> bytes:
        try:
            return self._file.read(most)
        except OSError as problem:
            raise SourceFailed(f"cannot be read: {problem.strerror}", final=True) from problem

    def close(self) -> None:
        self._file.close()


class Addresses:
    """Where a source's redirects led to, so that they are not walked again for each range."""

    def __init__(self) -> None:
        self._found: dict[tuple[Source, str], str] = {}

    def of(self, source: Source, wanted: Wanted, path: str) -> str:
        return self._found.get((source, path)) or source.url(wanted, path)

    def led_to(self, source: Source, path: str, url: str) -> None:
        self._found[source, path] = url

    def forget(self, source: Source, path: str) -> bool:
        """Returns whether there was something to forget."""
        return self._found.pop((source, path), None) is not None


def ask(
    wire: Wire, addresses: Addresses, source: Source, wanted: Wanted, file: WantedFile, first: int, end: int
) -> tuple[Stream, bool]:
    """Open the bytes `first` to `end` (exclusive) of `file` at `source`.

    Returns the stream, and whether it begins at `first`: a source without ranges begins at the file's start
    and goes to its end. Raises SourceFailed.
    """
    if source.local:
        return OpenFile(source, file, first), True
    whole = first == 0 and end == file.size
    known = source.url(wanted, file.path)
    while True:
        url = addresses.of(source, wanted, file.path)
        try:
            body = wire.get(url, *((None, None) if whole else (first, end - 1)))
            try:
                ranged = _judge(body, source, wanted, file, first, whole)
            except SourceFailed:
                body.close()
                raise
        except SourceFailed:
            if addresses.forget(source, file.path) and url != known:
                continue  # an address that has run out: ask where it is now
            raise
        if body.url != known:
            addresses.led_to(source, file.path, body.url)
        return body, ranged


def _judge(body: Body, source: Source, wanted: Wanted, file: WantedFile, first: int, whole: bool) -> bool:
    if body.status not in (200, 206):
        raise refusal(body)
    for headers in body.headers:
        commit = headers.get("X-Repo-Commit", "")
        if commit and source.kind in ("hub", "mirror") and commit != (source.revision or wanted.commit):
            raise SourceFailed(f"gives commit {commit[:12]}, not the wanted one", everywhere=True)
    if body.header("Content-Encoding") not in ("", "identity"):
        raise SourceFailed(f"sends it {body.header('Content-Encoding')}-encoded, unasked", final=True)
    if _is_page(body.headers[0]) and not file.path.endswith((".html", ".htm")):
        raise SourceFailed("gives a web page instead of the file", final=True)
    if body.status == 206:
        said = _CONTENT_RANGE.fullmatch(body.header("Content-Range"))
        if not said or int(said[1]) != first:
            raise SourceFailed(f"gives the wrong range ({body.header('Content-Range')!r})", final=True)
        if int(said[3]) != file.size:
            raise SourceFailed(f"has {int(said[3]):,} bytes, not {file.size:,}", final=True)
        return True
    if body.length is not None and body.length != file.size:
        raise SourceFailed(f"has {body.length:,} bytes, not {file.size:,}", final=True)
    return whole


def refusal(body: Body) -> SourceFailed:
    """What a status other than 200 and 206 means."""
    status = body.status
    if status in (401, 403):
        says = body.header("X-Error-Message") or "it asks for an account that accepted its terms"
        return SourceFailed(f"{status}: {says[:200]}; give its token by HF_TOKEN or --token-file", final=True)
    if status in (404, 410):
        return SourceFailed(f"{status}: it is not there", final=True)
    if status == 416:
        return SourceFailed("416: it is shorter there", final=True)
    if status in (408, 425, 429) or status >= 500:
        return SourceFailed(str(status), retry_after=_seconds(body.header("Retry-After")))
    return SourceFailed(f"answers {status}", final=True)


def _seconds(retry_after: str) -> float:
    """Retry-After as seconds: a number, or a date (RFC 9110, 10.2.3); 0 for none."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _is_page(headers: HTTPMessage) -> bool:
    return headers.get_content_type() in ("text/html", "application/xhtml+xml") and "Content-Type" in headers
