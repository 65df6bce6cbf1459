"""The door of the real process: keys read again, places for each key, bodies that do not come."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serve.conftest import PictureHost
from tests.serve.drawing import ask
from tests.serve.server_process import ServerProcess


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("alice key-of-alice\nbob key-of-bob\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def server(start: Callable[..., ServerProcess], tiny: Path, keys: Path) -> ServerProcess:
    return start(
        tiny, "--api-key-file", str(keys), "--max-requests-per-key", "1", "--body-timeout", "1",
        "--allow-image-hosts", "127.0.0.1", "--image-timeout", "30", "--open-metrics",
    )  # fmt: skip


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def status(server: ServerProcess, key: str) -> int:
    return server.get("/v1/models", headers=bearer(key)).status_code


def test_sighup_reads_the_keys_again(server: ServerProcess, keys: Path) -> None:
    first = keys.read_text()
    try:
        keys.write_text("carol key-of-carol\n")
        assert status(server, "key-of-carol") == 401
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: status(server, "key-of-carol") == 200)
        assert status(server, "key-of-alice") == 401
        keys.write_text("")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: "the keys stay as they were" in server.log.read_text())
        assert status(server, "key-of-carol") == 200
    finally:
        keys.write_text(first)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: status(server, "key-of-alice") == 200)
    assert "key-of" not in server.log.read_text()


def test_a_key_has_its_own_places_and_another_key_too(server: ServerProcess, host: PictureHost) -> None:
    host.trickle("/slow")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.post, ask("what?", host.url("/slow")), headers=bearer("key-of-alice"))
        server.wait_for(lambda: host.seen)
        refused = server.post(ask("x", max_tokens=1), headers=bearer("key-of-alice"))
        other = server.post(ask("x", max_tokens=1), headers=bearer("key-of-bob"))
        host.release.set()
        assert held.result().status_code == 400  # what trickled in is no picture
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "key_busy")
    assert int(refused.headers["retry-after"]) > 0
    assert other.status_code == 200
    assert server.post(ask("x", max_tokens=1), headers=bearer("key-of-alice")).status_code == 200


def test_the_log_names_the_key_where_there_are_several(server: ServerProcess) -> None:
    server.post(ask("x", max_tokens=2), headers=bearer("key-of-bob"))
    server.wait_for(lambda: " key=bob tokens=" in server.log.read_text())


def test_metrics_are_open_when_asked_for_and_nothing_else_is(server: ServerProcess) -> None:
    assert "sightline_ready 1.0" in server.get("/metrics").text
    assert server.get("/openapi.json").status_code == 401


@pytest.mark.parametrize("length", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_a_408(server: ServerProcess, length: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
        slow.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key-of-bob\r\n{length}"
            "\r\n\r\n".encode()
        )
        said = b"".join(iter(lambda: slow.recv(4096), b""))  # until the server closes
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "request_timeout"
