"""A mirror in the lab's network: a server at this machine's address there, which sends for ever."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BLOCK = bytes(2**20)


class _Endless(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/endless":
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(_BLOCK)
        except OSError:
            return

    def log_message(self, format: str, *words: object) -> None:
        pass


@contextmanager
def mirror(address: str) -> Iterator[str]:
    """Its own address meanwhile; `/endless` is a file without an end, anything else is not there."""
    server = http.server.ThreadingHTTPServer((address, 0), _Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
