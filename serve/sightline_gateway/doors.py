"""What the proxy answers to: of LiteLLM's hundreds of paths those that clients need, and two of our own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import Gauge

from sightline_gateway import running
from sightline_gateway.bodies import TooLarge, whole_body

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LITELLM = frozenset(
    {
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/models",
        "/models",
        "/health/liveliness",
        "/metrics",
        "/metrics/",
    }
)

SHOWN = b"x-litellm-model-id"
"""The one header of LiteLLM's that clients see: which replica answered."""

SEES = Gauge("sightline_replica_serving", "1 where the replica named the last pictures' colours", ["replica"])


class Doors:
    """ASGI around LiteLLM's app. /health: 200. /ready: 200 once a replica sees. /replicas (with a key): who
    sees, and why not. Whatever else LiteLLM offers (keys, users, its pages) is not found here. 413 for a body
    over the settings' limit.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in LITELLM):
            if scope.get("path", "").startswith("/metrics"):
                _measure()
            await self._pass_on(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["path"] == "/health":
            await _answer(send, 200, {"status": "alive"})
        elif scope["path"] == "/ready":
            rotation = running.now().watch.rotation
            ready = bool(rotation.serving())
            # Oracle's service alone is always there as far as anybody here can tell.
            ready = ready or not rotation.standings
            said = {"status": "ready"} if ready else {"status": "waiting", "reason": rotation.reasons()}
            await _answer(send, 200 if ready else 503, said)
        elif scope["path"] == "/replicas":
            if _may(scope):
                await _answer(send, 200, running.now().watch.rotation.told())
            else:
                await _answer(send, 401, _error("The API key is missing or wrong.", "invalid_api_key"))
        else:
            await _answer(send, 404, _error(f"There is nothing at {scope['path'][:200]}.", "not_found"))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            most = running.now().settings.body_limit
            try:
                receive = await whole_body(scope, receive, most)
            except TooLarge:
                message = f"The request is larger than {most:,} bytes, the most that is taken here."
                await _answer(send, 413, _error(message, "request_too_large"))
                return
        await self.app(scope, receive, _discreet(send))


def _discreet(send: Send) -> Send:
    """Without LiteLLM's headers, which tell the replicas' addresses; which replica it was may stay."""

    async def to_client(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message["headers"] if not _telling(name.lower())]
            message = {**message, "headers": headers}
        await send(message)

    return to_client


def _telling(header: bytes) -> bool:
    return header.startswith((b"x-litellm-", b"llm_provider-")) and header != SHOWN


def _may(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return scheme.lower() == "bearer" and running.now().keys.find(key.strip()) is not None


def _measure() -> None:
    for standing in running.now().watch.rotation.standings.values():
        SEES.labels(standing.name).set(standing.serving)


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


async def _answer(send: Send, status: int, said: dict[str, Any]) -> None:
    body = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
