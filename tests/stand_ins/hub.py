"""Stands for a model hub or a mirror of one: lists, resolves and serves a repository, and fails as told.

It keeps every request that it was sent, and the token rule is checked here: a hub that was made with
`trusted=False` notes each token that reaches it in `leaks`, which a test finds empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

CHUNK = 64 << 10
LARGE = 100_000
"""Bytes from which a file is kept by its sha256 (LFS); smaller ones have git's own name."""


@dataclass
class Faults:
    """What goes wrong. Counts are of requests for files: the first so many; -1 for all."""

    resets: int = 0  # a reset after `after` bytes of the body
    truncated: int = 0  # a tidy end after `after` bytes, less than Content-Length said
    after: int = 300_000
    refusals: int = 0  # `status`, with Retry-After where that is given
    status: int = 503
    retry_after: str = ""
    stalls: int = 0  # silence after `after` bytes
    wrong: set[str] = field(default_factory=set)  # these files: other bytes, the right size
    missing: set[str] = field(default_factory=set)
    no_ranges: bool = False
    no_length: bool = False
    page: bool = False  # an HTML page with 200
    encoded: bool = False
    commit: str = ""  # X-Repo-Commit of another revision
    rate: float = 0.0  # bytes a second of one connection
    rate_after: int = 0  # bytes that this hub gives in all before `rate` holds
    redirect_to: str = ""  # base of another server
    redirect_status: int = 302
    xet: bool = False  # large files carry xet's headers, as the Hub's do
    unlisted: bool = False  # the listing is an HTML page
    listed_size: int = 0  # added to every size in the listing


@dataclass(frozen=True)
class Request:
    """One that was received."""

    path: str
    range: str
    token: str


class Hub:
    """`files`: path -> content, at `repo` and `commit`. Use as a context; `url` is its address.

    `certificate`: a PEM file with certificate and key; then it speaks TLS.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        repo: str = "owner/model",
        commit: str = "c" * 40,
        token: str = "",
        trusted: bool = True,
        certificate: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.files, self.repo, self.commit = dict(files), repo, commit
        self.token, self.trusted = token, trusted
        self.faults = Faults()
        self.info: dict[str, object] = {}
        self._digests: dict[str, tuple[bytes, str]] = {}
        self.requests: list[Request] = []
        self.leaks: list[str] = []
        self.sent = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}"
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.url = self.url.replace("http:", "https:")

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def digest(self, path: str) -> str:
        """sha256 of a large file, git's own name of a small one; worked out once for each content."""
        content = self.files[path]
        known = self._digests.get(path)
        if known is None or known[0] is not content:
            if len(content) > LARGE:
                found = hashlib.sha256(content).hexdigest()
            else:
                found = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            known = self._digests[path] = (content, found)
        return known[1]

    def asked_for(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path.endswith(path)]

    def takes(self, name: str) -> bool:
        """Whether the fault counted by `name` befalls this request."""
        with self.lock:
            left: int = getattr(self.faults, name)
            if left > 0:
                setattr(self.faults, name, left - 1)
            return left != 0


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):  # clients are killed here
            super().handle()

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        """paths-info: the entries of the listing for the paths that the form names."""
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        if unquote(urlsplit(self.path).path) != f"/api/models/{self.hub.repo}/paths-info/{self.hub.commit}":
            return self._say(404, b"{}")
        named = [entry for entry in self._listed() if entry["path"] in form.get("paths", ())]
        self._say(200, json.dumps(named).encode(), {"Content-Type": "application/json"})

    def _answer(self) -> None:
        hub, token = self.hub, self.headers.get("Authorization", "")
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with hub.lock:
            hub.requests.append(Request(self.path, self.headers.get("Range", ""), token))
            if token and not hub.trusted:
                hub.leaks.append(self.path)
        if hub.token and token != f"Bearer {hub.token}":
            return self._say(401, b"{}", {"X-Error-Message": "Access to this model is restricted."})
        if path.startswith(f"/api/models/{hub.repo}/tree/{hub.commit}"):
            return self._list()
        if path in {f"/api/models/{hub.repo}/revision/{name}" for name in ("main", hub.commit)}:
            told = {"id": hub.repo, "sha": hub.commit, "siblings": [], **hub.info}
            return self._say(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
        if path == f"/api/v1/models/{hub.repo}/repo":  # ModelScope
            return self._file(parse_qs(parts.query)["FilePath"][0])
        for prefix in (f"/{hub.repo}/resolve/{hub.commit}/", "/plain/"):
            if path.startswith(prefix):
                return self._file(path[len(prefix) :])
        self._say(404, b"{}")

    def _list(self) -> None:
        if self.hub.faults.unlisted:
            return self._say(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})
        listed = self._listed()
        half = len(listed) // 2
        second = "cursor=2" in self.path
        link = {} if second else {"Link": f'<{self.hub.url}{self.path}&cursor=2>; rel="next"'}
        told = json.dumps(listed[half:] if second else listed[:half]).encode()
        self._say(200, told, {"Content-Type": "application/json", **link})

    def _listed(self) -> list[dict[str, object]]:
        listed: list[dict[str, object]] = []
        for path, content in self.hub.files.items():
            size = len(content) + self.hub.faults.listed_size
            git = "0" * 40 if len(content) > LARGE else self.hub.digest(path)
            entry: dict[str, object] = {"type": "file", "path": path, "size": size, "oid": git}
            if len(content) > LARGE:
                entry["lfs"] = {"oid": self.hub.digest(path), "size": size, "pointerSize": 134}
            listed.append(entry)
        listed.append({"type": "directory", "path": "folder", "size": 0, "oid": "0" * 40})
        return listed

    def _file(self, path: str) -> None:
        hub, faults = self.hub, self.hub.faults
        if faults.redirect_to:
            return self._say(faults.redirect_status, b"", {"Location": faults.redirect_to + self.path})
        if hub.takes("refusals"):
            rest = {"Retry-After": faults.retry_after} if faults.retry_after else {}
            return self._say(faults.status, b"busy", rest)
        if path not in hub.files or path in faults.missing:
            return self._say(404, b"Entry not found")
        if faults.page:
            return self._say(200, b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"})
        content = hub.files[path]
        first, end = 0, len(content)
        asked_range = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        self.send_response(206 if asked_range and not faults.no_ranges else 200)
        if asked_range and not faults.no_ranges:
            first, end = int(asked_range[1]), min(int(asked_range[2]) + 1, len(content))
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", faults.commit or hub.commit)
        large = len(content) > LARGE
        digest = hub.digest(path)
        self.send_header("ETag", f'"{digest}"')
        if large:
            self.send_header("X-Linked-ETag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(content)))
        if large and faults.xet:
            self.send_header("X-Xet-Hash", "0" * 64)
            self.send_header(
                "X-Xet-Refresh-Route", f"{hub.url}/api/models/{hub.repo}/xet-read-token/{hub.commit}"
            )
        self.send_header("Content-Type", "application/octet-stream")
        if faults.encoded:
            self.send_header("Content-Encoding", "gzip")
        if faults.no_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(end - first))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._send(path, memoryview(content)[first:end], first)

    def _send(self, path: str, body: memoryview, first: int) -> None:
        hub, faults = self.hub, self.hub.faults
        fault = next((name for name in ("resets", "truncated", "stalls") if hub.takes(name)), "")
        sent = 0
        for piece in _pieces(body, CHUNK):
            if path in faults.wrong:
                piece = memoryview(bytes(byte ^ 1 for byte in piece[:1]) + bytes(piece[1:]))
            if fault and sent + len(piece) > faults.after:
                self.wfile.write(piece[: faults.after - sent])
                with hub.lock:
                    hub.sent += faults.after - sent
                return self._break(fault)
            if faults.rate and hub.sent >= faults.rate_after:
                for drop in _pieces(piece, max(1, int(faults.rate / 20))):
                    if hub.closing.wait(len(drop) / faults.rate):
                        return
                    self.wfile.write(drop)
            else:
                self.wfile.write(piece)
            sent += len(piece)
            with hub.lock:
                hub.sent += len(piece)

    def _break(self, fault: str) -> None:
        self.close_connection = True
        if fault == "resets":
            # SO_LINGER with no time: close() sends RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "truncated":
            self.connection.shutdown(socket.SHUT_WR)
        else:
            self.hub.closing.wait(60)

    def _say(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _pieces(body: memoryview, size: int) -> Iterator[memoryview]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def wait_until(true: object, seconds: float = 20.0) -> bool:
    """Poll the callable `true`; whether it came true in time."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return False
