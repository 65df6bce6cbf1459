"""A link in user space: all connections to PORT are handed on to TO, slowed down.

    python -m sightline.bench.fetch.relay TO_PORT BYTES_A_SECOND SECONDS_EACH_WAY     prints its own port

The rate is that of the link, which all connections share; the delay is that of each byte. It is no netem: a
connection's window is bounded by the relay's buffers and not by acknowledgements from the far end, so one
connection alone can fill the link, and nothing is lost.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import sys
import threading
import time

CHUNK = 64 << 10


class Link:
    """One direction of the link, shared by all connections."""

    def __init__(self, rate: float, delay: float) -> None:
        self._rate, self._delay = rate, delay
        self._free_at = 0.0
        self._lock = threading.Lock()
        self.most = max(8, int(rate * delay * 2 / CHUNK) + 8)
        """Chunks that one connection may have under way."""

    def due(self, size: int) -> float:
        """When a chunk of `size` bytes that is sent now arrives."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._rate
            return self._free_at + self._delay


def pump(link: Link, source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes from `source` until it ends."""
    under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(link.most)

    def deliver() -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
        source.close()

    threading.Thread(target=deliver, daemon=True).start()
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            under_way.put((link.due(len(data)), data))
    under_way.put((link.due(0), b""))


def main() -> None:
    port, rate, delay = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    there, back = Link(rate, delay), Link(rate, delay)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            near, _ = listening.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=pump, args=(there, near, far), daemon=True).start()
            threading.Thread(target=pump, args=(back, far, near), daemon=True).start()


if __name__ == "__main__":
    main()
