"""Connections that say nothing or take nothing, on a real socket, with short times."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from sightline_serve import connection
from sightline_serve.connection import Connection

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Endless:
    """Sends for as long as its client takes it; `ended` is set when the server noticed that it has left."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/short":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        leaving = asyncio.create_task(self._left(receive))
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        self.ended.set()

    async def _left(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.fixture
def app() -> Endless:
    return Endless()


@pytest.fixture
def port(app: Endless, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(connection, "READER_SECONDS", 0.4)
    config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.force_exit = server.should_exit = True
    thread.join(20)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    with connected(port) as silent:
        assert silent.recv(100) == b""


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(port: int) -> None:
    with connected(port) as slow:
        gone = False
        for byte in HEAD * 20:
            try:
                slow.sendall(bytes([byte]))
            except OSError:
                gone = True
                break
            time.sleep(0.02)
        assert gone or slow.recv(100) == b""


def test_the_second_request_of_a_connection_is_not_waited_for_either(port: int) -> None:
    with connected(port) as slow:
        slow.sendall(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
        slow.sendall(HEAD)
        assert b"".join(iter(lambda: slow.recv(4096), b"")) in (b"ok", b"")


def test_a_client_that_takes_nothing_is_dropped(port: int, app: Endless) -> None:
    with connected(port) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(HEAD + b"\r\n")
        assert app.ended.wait(30)


def test_a_client_that_reads_on_is_served_longer_than_that(port: int, app: Endless) -> None:
    with connected(port) as reader:
        reader.sendall(HEAD + b"\r\n")
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert reader.recv(65536)
        assert not app.ended.is_set()
