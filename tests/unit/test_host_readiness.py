"""Waiting for an endpoint, against real servers on loopback, one of which speaks no HTTP."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sightline_host.readiness import NotReady, is_ready, wait_listed, wait_ready

Answers = list[tuple[int, object]]
Start = Callable[[Answers], str]


@pytest.fixture
def start() -> Iterator[Start]:
    """start([(status, body), ...]): a server's address; the last answer is repeated."""
    servers: list[HTTPServer] = []

    def serve(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/ready"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def always() -> bool:
    return True


def test_it_waits_and_tells_each_reason_once(start: Start) -> None:
    loading = {"status": "loading", "reason": "loading the model"}
    url = start([(503, loading), (503, loading), (503, {"reason": "warming up"}), (200, {})])
    said: list[str] = []

    waited = wait_ready(url, 120, said.append, always)

    assert said == [f"{url}: loading the model", f"{url}: warming up"]
    assert waited > 0.6


@pytest.mark.parametrize(("answers", "now"), [([(200, {})], True), ([(503, {}), (200, {})], False)])
def test_ready_now_or_not(start: Start, answers: Answers, now: bool) -> None:
    assert is_ready(start(answers)) is now


def test_one_that_is_ready_costs_nothing(start: Start) -> None:
    said: list[str] = []
    assert wait_ready(start([(200, {})]), 30, said.append, always) >= 0
    assert said == []


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, {"reason": "loading"}, "loading"),
        (503, {"detail": "not yet"}, "not yet"),
        (503, {"error": {"message": "no memory left"}}, "no memory left"),
        (503, {"error": "plain"}, "answered 503"),
        (500, b"<html>", "answered 500"),
        (404, ["reason"], "answered 404"),
        (204, b"", "answered 204"),
        (503, {"reason": "x" * 999}, "x" * 200),
    ],
)
def test_after_the_time_the_last_reason_is_told(start: Start, status: int, body: object, reason: str) -> None:
    url = start([(status, body)])
    with pytest.raises(NotReady) as caught:
        wait_ready(url, 0.0, lambda line: None, always)
    assert re.fullmatch(rf"{re.escape(url)} is not ready after \d+ s: {reason}", str(caught.value))


def test_a_process_that_died_ends_the_wait_at_once(start: Start) -> None:
    url = start([(503, {"reason": "loading"})])
    asked: list[str] = []
    with pytest.raises(NotReady, match=r"is not ready after \d+ s: loading"):
        wait_ready(url, 600, asked.append, lambda: False)
    assert asked == [f"{url}: loading"]


def test_nobody_there(start: Start) -> None:
    with pytest.raises(NotReady, match=r"does not answer yet .*refused"):
        wait_ready("http://127.0.0.1:9/ready", 0.5, lambda line: None, always)


def test_a_proxy_is_not_asked_about_loopback(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert wait_ready(start([(200, {})]), 0, lambda line: None, always) >= 0


def test_something_that_speaks_no_http_is_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        threading.Thread(target=greet, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/ready"
        with pytest.raises(NotReady, match=r"does not speak HTTP.*SSH-2\.0"):
            wait_ready(url, 0, lambda line: None, always)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, {"data": [{"id": "mmproj.gguf"}]}, "lists mmproj.gguf and not llava"),
        (200, {"data": []}, "lists no model and not llava"),
        (200, {"models": []}, "cannot be read"),
        (200, b"<html>", "cannot be read"),
        (401, {}, "cannot be read"),
    ],
)
def test_ready_without_its_model_is_not_believed(start: Start, status: int, body: object, why: str) -> None:
    with pytest.raises(NotReady, match=why):
        wait_listed(start([(status, body)]), "llava", None)


def test_its_model_is_listed_to_whoever_has_the_key(tmp_path: Path) -> None:
    """The key is the last word of the file's first line, and never told in an error."""
    given: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": [{"id": "llava"}]}')

        def log_message(self, *arguments: object) -> None:
            pass

    (tmp_path / "key").write_text("me sk-secret\nother sk-other\n")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/readyz"
        wait_listed(url, "llava", tmp_path / "key")
        with pytest.raises(NotReady) as problem:
            wait_listed(url, "other", tmp_path / "key")
    finally:
        server.shutdown()
        server.server_close()
    assert given == ["Bearer sk-secret"] * 2
    assert "sk-secret" not in str(problem.value)
