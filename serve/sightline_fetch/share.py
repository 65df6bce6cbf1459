"""`python -m sightline_fetch.share`: one host of a fleet gives the others a model while it still comes.

It serves one model's folder under a hub's addresses, whole files and parts alike: a piece that the journal
names is sent, one that is yet to come is waited for. Nothing is proven here: who receives, verifies.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sightline_fetch.errors import FetchError
from sightline_fetch.part import PIECE, journal_of
from sightline_fetch.wanted import OWN_FOLDER, Wanted, WantedFile, read_entry

NEXT_PIECE = 15.0
"""Seconds that a request waits for the next piece before it is cut off, to be asked again."""
_POLL = 0.05
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Growing:
    """One file of the folder, as far as it is there; may be asked by any number of threads."""

    def __init__(self, folder: Path, file: WantedFile) -> None:
        self._file = file
        self._place = folder / file.path
        self._part = folder / OWN_FOLDER / "parts" / f"{file.path}.part"
        self._lock = threading.Lock()
        self._journal: tuple[int, int] = (0, 0)  # inode, and bytes of it that were read
        self._pieces: set[int] = set()

    def read(self, piece: int) -> bytes | None:
        """A piece's bytes, None where it is not there yet. Raises OSError."""
        size = min(PIECE, self._file.size - piece * PIECE)
        # The place first: between the two looks a part may be renamed to it, never back.
        for place in (self._place, self._part, self._place):
            with contextlib.suppress(FileNotFoundError), place.open("rb", buffering=0) as content:
                if place == self._part and not self._has_come(piece):
                    continue
                data = os.pread(content.fileno(), size, piece * PIECE)
                if len(data) == size:
                    return data
        return None

    def _has_come(self, piece: int) -> bool:
        with self._lock:
            if piece not in self._pieces:
                self._read_on()
            return piece in self._pieces

    def _read_on(self) -> None:
        """Read what the journal has gained; all of it where it was written anew."""
        try:
            with journal_of(self._part).open("rb") as journal:
                inode, done = self._journal
                found = os.fstat(journal.fileno()).st_ino
                if found != inode:
                    done, self._pieces = 0, set()
                journal.seek(done)
                # A line that is still being written has no end yet.
                lines = journal.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return
        self._journal = (found, done + len(lines) + 1 if lines else done)
        for line in lines.split(b"\n"):
            number = line.partition(b" ")[0]
            if number.isdigit():
                self._pieces.add(int(number))


class Share:
    """The server. `url` is its address; `asked_at` the time of the last request."""

    def __init__(self, wanted: Wanted, folder: Path, host: str, port: int) -> None:
        """Raises OSError: the address is not this host's, or the port is taken."""
        self.files = {file.path: (file, Growing(folder, file)) for file in wanted.files}
        self.commit = wanted.commit or "0" * 40
        self.asked_at = time.monotonic()
        self.sent = 0
        share = self

        class Handler(_Handler):
            pass

        Handler.share = share
        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def run(self, idle: float) -> None:
        """Serve until nobody has asked for `idle` seconds."""
        threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True).start()
        try:
            while time.monotonic() - self.asked_at < idle:
                time.sleep(min(0.5, idle))
        finally:
            self._server.shutdown()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    share: Share
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        share = self.share
        share.asked_at = time.monotonic()
        # OWNER/NAME/resolve/COMMIT/PATH: only the commit that lies here, only files that the entry names.
        found = re.fullmatch(r"/[^/]+/[^/]+/resolve/([0-9a-f]{40})/(.+)", unquote(urlsplit(self.path).path))
        if not found or found[1] != share.commit or found[2] not in share.files:
            return self._say(404)
        file, growing = share.files[found[2]]
        first, end = 0, file.size
        asked = _RANGE.fullmatch(self.headers.get("Range") or "")
        if asked:
            first = int(asked[1])
            end = min(int(asked[2]) + 1, file.size) if asked[2] else file.size
            if first >= end:
                return self._say(416)
        if file.size and self.command == "GET" and growing.read(first // PIECE) is None:
            return self._say(503, {"Retry-After": "1"})
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{file.size}")
        self.send_header("Content-Length", str(end - first))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("X-Repo-Commit", share.commit)
        self.end_headers()
        if self.command == "GET":
            self._send(growing, first, end)

    def _send(self, growing: Growing, first: int, end: int) -> None:
        while first < end:
            piece = first // PIECE
            deadline = time.monotonic() + NEXT_PIECE
            while (data := growing.read(piece)) is None:
                if time.monotonic() > deadline:
                    self.close_connection = True
                    return
                time.sleep(_POLL)
            data = data[first - piece * PIECE : end - piece * PIECE]
            self.wfile.write(data)
            first += len(data)
            self.share.asked_at = time.monotonic()
            self.share.sent += len(data)

    def _say(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code: 0 nobody asked for a while, 2 wrong words or no such address."""
    words = argparse.ArgumentParser(
        prog="sightline-fetch-share",
        description="Give other hosts a model of this one, also while it still comes.",
        epilog="They fetch it by --source mirror=http://HOST:PORT and verify it as from anyone.",
    )
    words.add_argument("--entry", type=Path, required=True, metavar="FILE", help="the catalogue's entry")
    words.add_argument(
        "--target", type=Path, required=True, metavar="DIR", help="where its files come to lie"
    )
    words.add_argument("--listen", required=True, metavar="HOST:PORT", help="an address of this host")
    words.add_argument("--idle", type=float, default=900.0, metavar="S", help="ends when unasked for (900)")
    chosen = words.parse_args(arguments)
    host, _, port = chosen.listen.rpartition(":")
    try:
        if not host or not port.isdigit():
            raise FetchError(f"--listen {chosen.listen!r} is no HOST:PORT", "write 10.0.0.5:8643", words=True)
        share = Share(read_entry(chosen.entry), chosen.target, host.strip("[]"), int(port))
    except (FetchError, OSError) as problem:
        print(f"sightline-fetch-share: {problem}", file=sys.stderr)
        return 2
    print(f"gives {chosen.target} at {share.url}", flush=True)
    share.run(chosen.idle)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
