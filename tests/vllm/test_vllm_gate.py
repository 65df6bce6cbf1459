"""The gate before vLLM's API, before an application that answers everything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sightline_start.errors import StartError
from sightline_vllm.gate import FILE, Gate

KEYS = "# keys\nsk-plain\nalice sk-named\n"


async def answers_all(scope: Any, receive: Any, send: Any) -> None:
    """Stands for vLLM: whoever comes so far gets 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    file = tmp_path / "keys"
    file.write_text(KEYS)
    monkeypatch.setenv(FILE, str(file))
    return Gate(answers_all)


def ask(gate: Any, path: str, *headers: tuple[bytes, bytes], kind: str = "http", method: str = "POST") -> Any:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    scope = {"type": kind, "path": path, "method": method, "headers": list(headers)}
    asyncio.run(gate(scope, receive, send))
    return sent[0].get("status") or sent[0].get("code")


PATHS = [
    "/v1/chat/completions",
    "/invocations",
    "/metrics",
    "/tokenize",
    "/",
    "/healthy",
    "/health/",
    "//health",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        None,
        (b"authorization", b""),
        (b"authorization", b"Bearer "),
        (b"authorization", b"Bearer sk-other"),
        (b"authorization", b"Bearer alice"),
        (b"authorization", b"Bearer alice sk-named"),
        (b"authorization", b"Basic sk-plain"),
        (b"x-api-key", b"sk-plain"),
    ],
)
def test_nothing_but_health_answers_without_a_key(
    gate: Gate, path: str, header: tuple[bytes, bytes] | None
) -> None:
    assert ask(gate, path, *([header] if header else [])) == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", [b"Bearer sk-plain", b"bearer sk-named"])
def test_every_key_opens_everything(gate: Gate, path: str, key: bytes) -> None:
    assert ask(gate, path, (b"Authorization", key)) == 200


def test_health_is_open_and_a_browser_may_ask_whether_it_may_ask(gate: Gate) -> None:
    assert ask(gate, "/health", method="GET") == 200
    assert ask(gate, "/v1/models", method="OPTIONS") == 200


def test_a_websocket_is_closed(gate: Gate) -> None:
    assert ask(gate, "/v1/realtime", kind="websocket") == 1008


def test_without_keys_there_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE, raising=False)
    with pytest.raises(KeyError):
        Gate(answers_all)
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv(FILE, str(tmp_path / "empty"))
    with pytest.raises(StartError):
        Gate(answers_all)
